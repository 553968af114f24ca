"""R15: clients that ask and never read the answer."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from benchmarks.http import raw_request
from benchmarks.process import RunningServer
from benchmarks.reliability.beside import honest_clients, idle_uploads
from benchmarks.reliability.client import HOST, get
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import count_descriptors, in_flight, watching_memory

_CLIENTS = 64  # as many as there are upload slots
_WINDOW = 2_048  # bytes that a client's own system buffers
_LARGE = get("/docs/assets/swagger-ui-bundle.js")
_FILLING = _LARGE * 4  # answers that fill the buffers on the way
_STILL_SECONDS = 10.0  # after which a connection is to be ended
_PATIENCE = 4.0  # beyond that, for all of them
_STOP_SECONDS = 10.0  # that SIGTERM may take: three of them are for load balancers


def free_what_is_not_read(server: RunningServer, trial: Trial) -> list[Finding]:
    """Let 64 clients ask for large files and upload a photo, and none read; then stop while they are there."""
    trial.warm_up(server)
    idle, descriptors = idle_uploads(server, trial), count_descriptors(server)
    upload = raw_request("/predict", trial.photos[0])
    with (
        watching_memory(server) as memory,
        honest_clients(server, trial, idle) as beside,
        _unread(server.port, _FILLING + upload),
    ):
        opened = time.perf_counter()
        time.sleep(1.0)
        taken = in_flight(server)
        held = count_descriptors(server) - descriptors
        time.sleep(max(0.0, opened + _STILL_SECONDS + _PATIENCE - time.perf_counter()))
        left = count_descriptors(server) - descriptors
    cost = beside.findings()
    with _unread(server.port, _FILLING + upload):
        seconds, code = _stop(server)
    log = (server.folder / "log").read_text(errors="replace")
    return [
        *cost,
        Finding("upload slots taken by them after a second", taken, target=2, detail="honest uploads among them"),
        Finding("descriptors for each of them", held / _CLIENTS, target=1.1),
        Finding("memory added", memory.growth, "MB", 64),
        Finding("descriptors left when their time is over", left, target=8, detail="of the honest clients"),
        Finding("SIGTERM while they are there: ends after", seconds, "s", _STOP_SECONDS, detail=f"exit code {code}"),
        Finding("tracebacks in the log", log.count("Traceback"), target=0),
    ]


@contextmanager
def _unread(port: int, request: bytes) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(_CLIENTS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
            connection.connect((HOST, port))
            with suppress(OSError):
                connection.sendall(request)
        yield


def _stop(server: RunningServer) -> tuple[float, int | None]:
    started = time.perf_counter()
    server.terminate()
    code = server.wait(60)
    return time.perf_counter() - started, code
