"""The load generator: closed loops, where each connection waits for its answer, and open loops, where nobody does.

It speaks plain asyncio protocols on uvloop and sends bytes that were built beforehand, so that the cores are left to
the server; what it takes of them itself is part of the result.
"""

import asyncio
import gc
import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import uvloop

from benchmarks.http import read_answer

_MOST_CONNECTIONS = 512  # of an open loop; arrivals beyond wait for one, and their waiting counts
_DRAIN_SECONDS = 15.0  # that the last requests of a window may still take
_COUNT_SECONDS = 120.0  # that all requests of a count may take
_RETRY_SECONDS = 0.05  # before a refused connection is tried again
# Between two connections of a closed loop. Where workers share a listening socket, the first to wake up would take all
# that come at once, and the others none; while it is busy, the others come to theirs.
_STAGGER_SECONDS = 0.01

Meter = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Target:
    """A port of this machine, and whole requests to send there in turn."""

    port: int
    requests: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Load:
    """What came of the requests in a window of `seconds`.

    `latencies` are those of answers with status 200, in seconds, sorted; `shed` are those of 503. `errors` counts all
    but 200 by status, or as "connection" (lost or refused) and "unanswered". The CPU seconds are those of the window.
    """

    seconds: float
    latencies: tuple[float, ...]
    errors: dict[str, int]
    server_cpu: float
    generator_cpu: float
    shed: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Give the answers with status 200 per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Give the latency in seconds that so many percent of the answers did not exceed; NaN without an answer."""
        if not self.latencies:
            return math.nan
        return self.latencies[max(0, math.ceil(percent / 100 * len(self.latencies)) - 1)]


def run_closed(target: Target, connections: int, *, warm_up: float, seconds: float, server_cpu: Meter) -> Load:
    """Keep `connections` requests under way; what is answered in the window of `seconds` after the warm-up counts."""

    async def run() -> Load:
        start = time.perf_counter() + warm_up
        end = start + seconds
        pool = _Pool(target, lambda: now if (now := time.perf_counter()) < end else None)
        pool.open(connections)
        server, generator = await _cpu_between(start, end, server_cpu)
        outcomes = [outcome for outcome in await pool.finish(_DRAIN_SECONDS) if start <= outcome.until]
        return _load(seconds, [outcome for outcome in outcomes if outcome.counts_before(end)], server, generator)

    return _run(run())


def run_count(target: Target, connections: int, requests: int) -> Load:
    """Send so many requests over `connections`; the window is from the first to the last answer."""

    async def run() -> Load:
        start, cpu = time.perf_counter(), time.process_time()
        backlog = deque([start] * requests)

        def due() -> float | None:
            return time.perf_counter() if backlog and backlog.popleft() else None

        pool = _Pool(target, due, backlog)
        pool.open(connections)
        outcomes = await pool.finish(_COUNT_SECONDS)
        return _load(time.perf_counter() - start, outcomes, math.nan, time.process_time() - cpu)

    return _run(run())


def run_open(target: Target, rate: float, *, warm_up: float, seconds: float, server_cpu: Meter, seed: int = 0) -> Load:
    """Send `rate` requests a second at random moments, as many independent users do, whatever the answers do.

    What is due in the window of `seconds` after the warm-up counts. Its latency is counted from when it was due, so
    that a server which stalls pays for all who had to wait (no coordinated omission). Equal seeds give equal moments.
    """

    async def run() -> Load:
        backlog: deque[float] = deque()
        pool = _Pool(target, lambda: backlog.popleft() if backlog else None, backlog)
        loop, begin = asyncio.get_running_loop(), time.perf_counter()
        start, end = begin + warm_up, begin + warm_up + seconds

        def arrive(due: float) -> None:
            backlog.append(due)
            pool.serve()

        def arrivals() -> None:  # in a thread: uvloop's own timers are as coarse as a millisecond
            for moment in arrival_times(rate, warm_up + seconds, seed):
                time.sleep(max(0.0, begin + moment - time.perf_counter()))
                loop.call_soon_threadsafe(arrive, begin + moment)

        arriving = loop.run_in_executor(None, arrivals)
        server, generator = await _cpu_between(start, end, server_cpu)
        await arriving
        outcomes = await pool.finish(_DRAIN_SECONDS)
        return _load(seconds, [outcome for outcome in outcomes if start <= outcome.since], server, generator)

    return _run(run())


def arrival_times(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Draw the moments of a Poisson process in 0..`seconds`: `rate` a second on average."""
    rng, moment = random.Random(seed), 0.0  # noqa: S311 - moments, not secrets
    while (moment := moment + rng.expovariate(rate)) < seconds:
        yield moment


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A request was due at `since`, and at `until` it was known what came of it: a status, or a kind of failure."""

    since: float
    until: float
    status: str

    def counts_before(self, end: float) -> bool:
        return self.until < end or self.status == "unanswered"


class _Pool:
    """Connections that each send the next request that is due.

    `due` gives the moment since which the next request waits, or `None`. Those in `backlog` wait for a connection.
    """

    def __init__(self, target: Target, due: Callable[[], float | None], backlog: Sequence[float] = ()) -> None:
        self._target, self._due, self._backlog = target, due, backlog
        self._requests = cycle(target.requests)
        self._connections: set[_Connection] = set()
        self._idle: list[_Connection] = []  # the last used works first: those that are not needed close by themselves
        self._opening: set[asyncio.Task[None]] = set()
        self._outcomes: list[_Outcome] = []
        self._closed = False

    def open(self, connections: int) -> None:
        """Open so many more connections, shortly one after the other; each goes to work as soon as it is there."""
        for index in range(connections):
            task = asyncio.get_running_loop().create_task(self._connect(index * _STAGGER_SECONDS))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def serve(self) -> None:
        """Let an idle connection, or a new one, send what is due."""
        if self._idle:
            self.release(self._idle.pop())
        elif len(self._connections) + len(self._opening) < _MOST_CONNECTIONS:
            self.open(1)

    def join(self, connection: "_Connection") -> None:
        """Take in a connection that is there now."""
        self._connections.add(connection)
        self.release(connection)

    def release(self, connection: "_Connection") -> None:
        """Let a connection that is free send what is due next, or rest."""
        since = self._due()
        if since is None:
            self._idle.append(connection)
        else:
            connection.send(next(self._requests), since)

    def record(self, since: float, status: str) -> None:
        """Take down what came of a request."""
        self._outcomes.append(_Outcome(since, time.perf_counter(), status))

    def leave(self, connection: "_Connection") -> None:
        """Forget a connection that is closed; put another in its place unless it was idle."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        elif not self._closed:
            self.open(1)

    async def finish(self, seconds: float) -> list[_Outcome]:
        """Wait so long for requests under way, then close all connections; return every request's outcome."""
        deadline = time.perf_counter() + seconds
        # An event would have to be kept right in every method above; this looks only when the window is over.
        while self._is_busy() and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._closed = True
        for task in tuple(self._opening):
            task.cancel()
        for connection in tuple(self._connections):
            connection.close()
        for since in self._backlog:
            self.record(since, "unanswered")
        return self._outcomes

    def _is_busy(self) -> bool:
        return len(self._idle) < len(self._connections) or bool(self._backlog and self._opening)

    async def _connect(self, delay: float) -> None:
        await asyncio.sleep(delay)
        while True:
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self), "127.0.0.1", self._target.port
                )
            except OSError:
                self.record(time.perf_counter(), "connection")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return


class _Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request under way."""

    _transport: asyncio.Transport

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._since: float | None = None
        self._received = bytearray()

    def send(self, request: bytes, since: float) -> None:
        self._since = since
        self._transport.write(request)

    def close(self) -> None:
        self._settle("unanswered")
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a TCP connection
        self._pool.join(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = read_answer(self._received)
        if answer is None:
            return
        self._received.clear()
        self._settle(str(answer.status))
        if answer.keep_alive:
            self._pool.release(self)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._settle("connection")
        self._pool.leave(self)

    def _settle(self, status: str) -> None:
        if self._since is not None:
            self._pool.record(self._since, status)
            self._since = None


async def _cpu_between(start: float, end: float, server_cpu: Meter) -> tuple[float, float]:
    """Measure the CPU seconds of server and generator between two moments."""
    readings = []
    for moment in (start, end):
        await asyncio.sleep(moment - time.perf_counter())
        readings.append((await asyncio.to_thread(server_cpu), time.process_time()))
    (server_before, generator_before), (server_after, generator_after) = readings
    return server_after - server_before, generator_after - generator_before


def _load(seconds: float, outcomes: Sequence[_Outcome], server_cpu: float, generator_cpu: float) -> Load:
    latencies, shed = (
        tuple(sorted(outcome.until - outcome.since for outcome in outcomes if outcome.status == status))
        for status in ("200", "503")
    )
    errors = Counter(outcome.status for outcome in outcomes if outcome.status != "200")
    return Load(seconds, latencies, dict(errors), server_cpu, generator_cpu, shed)


def _run(work: Coroutine[Any, Any, Load]) -> Load:
    gc.collect()
    gc.disable()  # its pauses would be taken for the server's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    finally:
        gc.enable()
