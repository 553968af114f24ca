"""What is measured of one server, and in which order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.http import form_request, raw_request
from benchmarks.load import run_closed, run_count, run_open
from benchmarks.process import RunningServer, running
from benchmarks.results import COMPARED, LARGE, Memory, Point, ServerResult
from benchmarks.servers import WHISKER, Server

_LIMIT_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the in-process limit, at which requests arrive
_PEAK_SHARE = 0.5  # of the server's own best, for its latency at ease
_MEMORY_READINGS = 10

Say = Callable[[str], None]
Measure = Callable[[RunningServer], Point]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure, and how often; of several tries of a closed loop the best counts."""

    warm_up: float
    seconds: float
    tries: int
    memory_requests: int
    connections: tuple[int, ...] = (1, 4, 16, 64)  # of the closed loops


FULL = Plan(warm_up=3, seconds=10, tries=2, memory_requests=10_000)
QUICK = Plan(warm_up=3, seconds=3, tries=1, memory_requests=10_000)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all servers; `limit` is the in-process limit in photos a second."""

    plan: Plan
    checkpoint: Path
    photos: Sequence[bytes]
    large: Sequence[bytes]
    limit: float
    say: Say


def measure_server(server: Server, python: str, setting: Setting) -> ServerResult:
    """Measure one server in everything; what fails becomes a note, and the rest goes on."""
    result = ServerResult(server.name, server.title, server.setting)
    if missing := server.missing(python):
        result.state = "not installed"
        result.notes.append(f"It needs: {missing}.")
        setting.say(f"{server.title}: not installed. {result.notes[0]}")
    else:
        _Session(server, python, setting, result).measure()
    return result


class _Session:
    """Measure one server, each load with a fresh one: some adapt to a load in ways that spoil the next."""

    def __init__(self, server: Server, python: str, setting: Setting, result: ServerResult) -> None:
        self._server, self._python, self._setting, self._result = server, python, setting, result
        self._forms = self._as_forms(setting.photos)

    def measure(self) -> None:
        """Measure everything."""
        result = self._result
        for connections in self._setting.plan.connections:
            point = self._best(self._closed(self._forms, connections))
            if point is None:
                return  # it does not start: there is a note on it
            result.closed.append(point)
        points = [self._once(self._open(rate)) for rate in open_rates(self._setting.limit, result.peak)]
        result.open = [point for point in points if point is not None]
        result.large = self._best(self._closed(self._as_forms(self._setting.large), LARGE))
        if self._server.name == WHISKER.name:
            raw = [raw_request(self._server.path, photo) for photo in self._setting.photos]
            result.raw = self._best(self._closed(raw, COMPARED))
            self._once(self._memory)

    def _best(self, measure: Measure) -> Point | None:
        """Try as often as planned: how connections spread over a server's workers is partly luck."""
        points = [point for _ in range(self._setting.plan.tries) if (point := self._once(measure)) is not None]
        return max(points, key=lambda point: point.requests_per_second, default=None)

    def _once(self, measure: Measure) -> Point | None:
        setting, result = self._setting, self._result
        try:
            with running(self._server, self._python, setting.checkpoint, setting.photos[0]) as server:
                result.start_up_seconds.append(server.start_up_seconds)
                point = measure(server)
        except BenchmarkError as exc:
            result.notes.append(str(exc))
            setting.say(f"{self._server.title}: {exc}")
            return None
        setting.say(f"{self._server.title}: {point}")
        return point

    def _closed(self, requests: Sequence[bytes], connections: int) -> Measure:
        def measure(server: RunningServer) -> Point:
            plan, target = self._setting.plan, Target(server.port, requests)
            load = run_closed(
                target, connections, warm_up=plan.warm_up, seconds=plan.seconds, server_cpu=server.cpu_seconds
            )
            return Point.of(load, rss_mb=server.rss_mb(), connections=connections)

        return measure

    def _open(self, rate: float) -> Measure:
        def measure(server: RunningServer) -> Point:
            plan, target = self._setting.plan, Target(server.port, self._forms)
            load = run_open(target, rate, warm_up=plan.warm_up, seconds=plan.seconds, server_cpu=server.cpu_seconds)
            return Point.of(load, rss_mb=server.rss_mb(), offered=rate)

        return measure

    def _memory(self, server: RunningServer) -> Point:
        """Read the resident memory as requests go by."""
        step, target = self._setting.plan.memory_requests // _MEMORY_READINGS, Target(server.port, self._forms)
        for reading in range(1, _MEMORY_READINGS + 1):
            load = run_count(target, COMPARED, step)
            self._result.memory.append(Memory(reading * step, server.rss_mb()))
        return Point.of(load, rss_mb=server.rss_mb(), connections=COMPARED)

    def _as_forms(self, photos: Sequence[bytes]) -> list[bytes]:
        return [form_request(self._server.path, photo, field=self._server.field) for photo in photos]


def open_rates(limit: float, peak: float) -> list[float]:
    """Choose the arrival rates for a server: half of its own peak, and shares of the in-process limit.

    These are the same for all servers: those that it can keep up with, and one beyond, to see how it fails.
    """
    shares = [share * limit for share in _LIMIT_SHARES]
    within = [rate for rate in shares if rate <= peak]
    return sorted([_PEAK_SHARE * peak, *within, *shares[len(within) : len(within) + 1]])
