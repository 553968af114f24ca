"""The real service on a part of this machine's cores, as `taskset` would start it, beside what its costs allow."""

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.load import run_closed
from benchmarks.process import running
from benchmarks.scale.comparison import NOISE, QUIET_CORES
from benchmarks.scale.costs import Costs
from benchmarks.scale.service import PEAK_CONNECTIONS, Meter, Setting
from benchmarks.servers import WHISKER


@dataclass(frozen=True, slots=True)
class Row:
    """A service on so many cores: answers a second, what its costs allow, and how busy its HTTP process was.

    `is_alone` tells whether the load generator had other cores; `others` are cores that other programs took.
    """

    cores: int
    rate: float
    allowed: float
    http_utilisation: float
    is_alone: bool
    others: float = 0.0


@contextmanager
def bound_to(cores: Collection[int]) -> Iterator[None]:
    """Let this thread use these cores alone, and so every process that it starts within the context, for ever."""
    if not hasattr(os, "sched_setaffinity"):
        raise BenchmarkError("This system cannot bind processes to cores: measure on Linux.")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def sets_of(cores: Sequence[int]) -> list[list[int]]:
    """Choose the first 1, 2, 4, 8 and so on of these cores, and all of them."""
    sizes = sorted({2**power for power in range(len(cores).bit_length()) if 2**power < len(cores)} | {len(cores)})
    return [list(cores[:size]) for size in sizes]


def measure_sets(setting: Setting, costs: Costs) -> list[Row]:
    """Measure the peak of a closed loop on each set; the load generator has the other cores, if there are any."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [_measure(setting, costs, chosen, cores) for chosen in sets_of(cores)] if cores else []


def _measure(setting: Setting, costs: Costs, chosen: list[int], cores: list[int]) -> Row:
    others = [core for core in cores if core not in chosen]
    with ExitStack() as stack:
        with bound_to(chosen):
            server = stack.enter_context(running(WHISKER, sys.executable, setting.checkpoint, setting.photos[0]))
        target, meter = setting.target(server), Meter(server)
        with bound_to(others or cores):
            load = run_closed(
                target, PEAK_CONNECTIONS, warm_up=setting.warm_up, seconds=setting.seconds, server_cpu=meter
            )
    allowed = allowed_rate(costs, len(chosen), of=len(cores))
    busy = meter.since_last("http") / setting.seconds
    taken = (meter.since_last("machine") - load.server_cpu - load.generator_cpu) / setting.seconds
    return Row(len(chosen), load.rate, allowed, busy, is_alone=bool(others), others=max(0.0, taken))


def allowed_rate(costs: Costs, cores: int, *, of: int) -> float:
    """Give the requests a second that fill so many cores of a machine whose others are idle.

    With all of them in use, the load generator takes its part.
    """
    seconds = costs.http + costs.worker + (costs.generator if cores == of else 0.0)
    slowdown = 1 + (costs.slowdown - 1) * (cores - 1) / max(1, of - 1)
    return cores / (seconds * slowdown / costs.slowdown)


def describe_sets(rows: Sequence[Row]) -> list[str]:
    """Write a table."""
    lines = ["  cores   answered/s   as its costs allow   HTTP process busy   others   load generator"]
    lines += [
        f"{it.cores:7}{it.rate:13.0f}{it.allowed:21.0f}{100 * it.http_utilisation:18.0f} %{it.others:9.2f}   "
        f"{'elsewhere' if it.is_alone else 'on the same cores'}"
        for it in rows
    ]
    if any(it.others > QUIET_CORES for it in rows):
        lines.append(NOISE)
    return lines
