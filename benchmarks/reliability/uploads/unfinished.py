"""R20: large uploads that are never completed."""

import socket
import time
from contextlib import ExitStack, suppress

from benchmarks.process import RunningServer
from benchmarks.reliability.beside import honest_clients, idle_uploads
from benchmarks.reliability.client import HOST, post
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import watching_memory

_BODY = 19_999_999  # bytes of the largest upload, less one
_SMALL = 900_000  # many of these count as much
_MB = 300  # that the service may take for uploads: the default limit, and half as much for copies


def give_way_to_small_uploads(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send all but the last byte of ten large uploads, then of 250 smaller ones, beside honest clients."""
    trial.warm_up(server)
    idle, findings = idle_uploads(server, trial), list[Finding]()
    for name, clients, size in (("ten of 20 MB", 10, _BODY), ("250 of 0.9 MB", 250, _SMALL)):
        request = post("/predict", "Content-Type: image/jpeg", body=bytes(size), length=size + 1)
        with watching_memory(server) as memory, honest_clients(server, trial, idle) as beside, ExitStack() as stack:
            for _ in range(clients):
                connection = stack.enter_context(socket.create_connection((HOST, server.port)))
                connection.settimeout(1)
                with suppress(OSError):  # it may have been told to give way
                    connection.sendall(request)
            time.sleep(trial.plan.load_seconds)
        findings += [*beside.findings(name), Finding(f"{name}: memory added", memory.growth, "MB", _MB)]
    return findings
