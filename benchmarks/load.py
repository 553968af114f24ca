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
from typing import Any

import uvloop

from benchmarks.connections import Outcome, Pool, Target

_DRAIN_SECONDS = 15.0  # that the last requests of a window may still take
_COUNT_SECONDS = 120.0  # that all requests of a count may take

Meter = Callable[[], float]


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
        pool = Pool(target, lambda: now if (now := time.perf_counter()) < end else None)
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

        pool = Pool(target, due, backlog)
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
        pool = Pool(target, lambda: backlog.popleft() if backlog else None, backlog)
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


async def _cpu_between(start: float, end: float, server_cpu: Meter) -> tuple[float, float]:
    """Measure the CPU seconds of server and generator between two moments."""
    readings = []
    for moment in (start, end):
        await asyncio.sleep(moment - time.perf_counter())
        readings.append((await asyncio.to_thread(server_cpu), time.process_time()))
    (server_before, generator_before), (server_after, generator_after) = readings
    return server_after - server_before, generator_after - generator_before


def _load(seconds: float, outcomes: Sequence[Outcome], server_cpu: float, generator_cpu: float) -> Load:
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
