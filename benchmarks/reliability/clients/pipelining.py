"""R16: a quarter of a megabyte of tiny requests at once, none awaiting the answer to the one before."""

import socket
import time
from contextlib import ExitStack, suppress

from benchmarks.process import RunningServer
from benchmarks.reliability.beside import honest_clients, idle_uploads
from benchmarks.reliability.client import HOST, post
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import watching_memory

_CONNECTIONS = 20
_BYTES = 256_000
_TINY = (
    ("GETs of 18 bytes", b"GET / HTTP/1.1\r\n\r\n"),
    ("empty uploads", post("/predict", "Content-Type: image/png")),
    ("requests to upgrade", b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
)


def bound_pipelines(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send each kind of tiny request 256 KB at a time, on 20 connections, beside honest clients."""
    trial.warm_up(server)
    idle, findings = idle_uploads(server, trial), list[Finding]()
    for name, request in _TINY:
        data = request * (_BYTES // len(request))
        with watching_memory(server) as memory, honest_clients(server, trial, idle) as beside, ExitStack() as stack:
            for _ in range(_CONNECTIONS):
                connection = stack.enter_context(socket.create_connection((HOST, server.port)))
                connection.settimeout(1)
                with suppress(OSError):  # it may be closed at any moment
                    connection.sendall(data)
            time.sleep(trial.plan.load_seconds)
        findings += [*beside.findings(name), Finding(f"{name}: memory added", memory.growth, "MB", 64)]
    return findings
