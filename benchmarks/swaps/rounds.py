"""The measurement: the same load without swaps and with them, in turn, until there were as many swaps as wanted."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.load import Load, run_closed, run_open
from benchmarks.swaps.swapper import Swapper
from benchmarks.swaps.variants import MIXED, Jury

_CONNECTIONS = 16  # of the closed loop that finds the capacity

Say = Callable[[str], None]


class Watched(Protocol):
    """A server that runs."""

    @property
    def port(self) -> int: ...

    def cpu_seconds(self) -> float: ...

    def pss_mb(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How many swaps, at which share of the capacity, in windows of how many seconds."""

    swaps: int
    load: float
    seconds: float
    warm_up: float = 3.0


@dataclass(slots=True)
class Windows:
    """What came of the requests in all windows of one kind; latencies are in seconds."""

    latencies: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, load: Load) -> None:
        self.latencies += load.latencies
        self.p99s.append(load.percentile(99))
        self.failures.update(load.errors)

    @property
    def p99(self) -> float:
        """Give the p99 of all latencies; NaN without any."""
        ordered = sorted(self.latencies)
        return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else math.nan

    @property
    def mixed(self) -> int:
        return self.failures[MIXED]

    @property
    def lost(self) -> int:
        return self.failures.total() - self.mixed


@dataclass(slots=True)
class Figures:
    """All that was measured; `memory_mb` is by the number of swaps, `rate` what was sent a second."""

    capacity: float
    rate: float
    calm: Windows = field(default_factory=Windows)
    swapping: Windows = field(default_factory=Windows)
    memory_mb: dict[int, float] = field(default_factory=dict)
    swap_seconds: Sequence[float] = ()

    def latest(self) -> str:
        """Sum up the latest pair of windows in one line."""
        swaps, memory = [*self.memory_mb.items()][-1]
        calm, swapping = (1000 * it.p99s[-1] for it in (self.calm, self.swapping))
        return (
            f"{swaps:,} swaps: p99 {swapping:.1f} ms with them, {calm:.1f} ms without; lost {self.lost:,}, mixed "
            f"{self.mixed:,} {self.failures or ''}; {memory:.0f} MB"
        ).replace(" ;", ";")

    @property
    def failures(self) -> dict[str, int]:
        """Count what was not answered rightly: by status, or as "mixed", "connection" or "unanswered"."""
        return dict(self.calm.failures + self.swapping.failures)

    @property
    def lost(self) -> int:
        """Count the requests without an answer of status 200."""
        return self.calm.lost + self.swapping.lost

    @property
    def mixed(self) -> int:
        """Count the answers that are not those of the version that they name."""
        return self.calm.mixed + self.swapping.mixed


def measure(
    server: Watched, requests: Sequence[bytes], jury: Jury, swapper: Swapper, *, plan: Plan, say: Say
) -> Figures:
    """Find the capacity, then measure windows in pairs until there were as many swaps as planned.

    Raises `BenchmarkError` if a version is not served, or if a window is too short for a single swap.
    """
    target = Target(server.port, requests, jury.judge)
    most = run_closed(target, _CONNECTIONS, warm_up=plan.warm_up, seconds=plan.seconds, server_cpu=server.cpu_seconds)
    figures, before = Figures(most.rate, plan.load * most.rate), swapper.count
    say(f"Capacity: {figures.capacity:.1f} answers/s; load: {figures.rate:.1f}/s")
    figures.memory_mb[0] = server.pss_mb()
    while (swaps := swapper.count - before) < plan.swaps:
        _measure_pair(server, target, swapper, figures, plan)
        if swapper.count - before == swaps:
            raise BenchmarkError(f"No swap was finished within {plan.seconds:g} s: give more --seconds.")
        figures.memory_mb[swapper.count - before] = server.pss_mb()
        say(figures.latest())
    figures.swap_seconds = tuple(swapper.seconds[before:])
    return figures


def _measure_pair(server: Watched, target: Target, swapper: Swapper, figures: Figures, plan: Plan) -> None:
    seed = len(figures.calm.p99s)  # the same moments of arrivals for both
    for windows, context in ((figures.calm, nullcontext()), (figures.swapping, swapper.swapping(server.port))):
        with context:  # without a warm-up: whatever is lost counts
            load = run_open(
                target, figures.rate, warm_up=0, seconds=plan.seconds, server_cpu=server.cpu_seconds, seed=seed
            )
        windows.add(load)
