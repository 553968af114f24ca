"""What new connections cost an HTTP worker, and what the supervisor of several costs: it is on no request's path."""

import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psutil

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.load import Load, run_closed
from benchmarks.process import RunningServer, running
from benchmarks.scale.service import WORKER, Setting
from benchmarks.servers import WHISKER

_WORKERS = 2
_CONNECTIONS = 16
_SMALL = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_ONE_CONNECTION, _ONE_EACH = _SMALL + b"\r\n", _SMALL + b"Connection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Accepting:
    """CPU seconds: of an HTTP worker for a new connection, of the supervisor for each second, and connections/s."""

    connection: float
    supervisor: float
    rate: float


@dataclass(slots=True)
class _Meter:
    """Read, at each call, the CPU seconds of the supervisor and of the HTTP workers."""

    server: RunningServer
    readings: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self) -> float:
        supervisor, *others = self.server.processes()
        http = 0.0
        for process in others:
            with suppress(psutil.NoSuchProcess):
                http += 0.0 if WORKER in process.cmdline() else sum(process.cpu_times()[:2])
        self.readings.append((sum(supervisor.cpu_times()[:2]), http))
        return http

    def since_last(self) -> tuple[float, float]:
        (supervisor, http), (supervisor_now, http_now) = self.readings[-2:]
        return supervisor_now - supervisor, http_now - http


def measure_accepting(setting: Setting) -> Accepting:
    """Ask two HTTP workers for what costs next to nothing, on connections that are kept and on one a request."""
    server = replace(WHISKER, command=(*WHISKER.command, "--workers", str(_WORKERS)))
    with running(server, sys.executable, setting.checkpoint, setting.photos[0]) as it:
        meter = _Meter(it)

        def load(request: bytes) -> tuple[float, float, Load]:
            found = run_closed(
                Target(it.port, [request]), _CONNECTIONS, warm_up=1.0, seconds=setting.seconds, server_cpu=meter
            )
            if not found.latencies:
                raise BenchmarkError(f"The service answered nothing to GET /livez: {found.errors}.")
            supervisor, http = meter.since_last()
            return supervisor / setting.seconds, http / len(found.latencies), found

        _, kept, _ = load(_ONE_CONNECTION)
        supervisor, new, found = load(_ONE_EACH)
    return Accepting(max(0.0, new - kept), supervisor, found.rate)
