"""What the simulation says of machines that nobody has here: requests a second for a target latency, and how many."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from benchmarks.load import arrival_times
from benchmarks.scale.costs import Costs
from benchmarks.scale.simulation import Service, Simulated, simulate

CORES = (1, 2, 4, 8, 16, 32, 64)
MAX_REFUSED = 0.001
_REQUESTS = 12_000  # of which the first sixth does not count
_HALVINGS = 6  # of the interval of the rate: to within 1.6 % of what the cores could give at most
_SLOTS_A_CORE = 4


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest rate that one service on so many cores keeps up with; 0 where no rate meets the target."""

    cores: int
    rate: float
    p99: float
    http_utilisation: float
    cores_utilisation: float


def service_on(cores: int) -> Service:
    """Set up a service with four upload slots a core, as one would; the default of 64 is enough up to 16 cores."""
    service = Service.on(cores)
    return replace(service, max_in_flight=max(service.max_in_flight, _SLOTS_A_CORE * cores))


def cores_that_fill_http(costs: Costs) -> float:
    """Give the cores at which one HTTP process has a core of its own and no time left: its own, and the workers'."""
    return 1 + costs.worker / costs.http


def capacity(costs: Costs, cores: int, p99: float, *, requests: int = _REQUESTS) -> Capacity:
    """Find the highest rate at which the 99th percentile and the refusals stay within bounds; clients are elsewhere.

    `requests` are simulated for each rate that is tried.
    """
    costs, service = replace(costs, generator=0.0), service_on(cores)
    low, high = 0.0, min(1 / costs.http, cores / (costs.http + costs.worker))
    best = Capacity(cores, 0.0, math.nan, 0.0, 0.0)
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        simulated = _at(service, costs, rate, requests)
        if simulated.load.percentile(99) <= p99 and simulated.refused <= MAX_REFUSED:
            low = rate
            seconds = simulated.load.percentile(99)
            best = Capacity(cores, rate, seconds, simulated.http_utilisation, simulated.cores_utilisation)
        else:
            high = rate
    return best


def _at(service: Service, costs: Costs, rate: float, requests: int) -> Simulated:
    arrivals = list(islice(arrival_times(rate, math.inf, seed=1), requests))
    return simulate(service, costs, arrivals, start=arrivals[requests // 6], end=arrivals[-1])


def describe_capacities(costs: Costs, p99: float, say: Callable[[str], None]) -> list[Capacity]:
    """Write a table of cores, a line as soon as it is known."""
    say("  cores   requests/s   per core   p99 ms   HTTP process busy   cores busy")
    found = []
    for cores in CORES:
        it = capacity(costs, cores, p99)
        found.append(it)
        http, all_cores = 100 * it.http_utilisation, 100 * it.cores_utilisation
        say(
            f"{cores:7} {it.rate:12.0f} {it.rate / cores:10.0f} {1000 * it.p99:8.1f} {http:17.0f} % {all_cores:10.0f} %"
        )
    return found


def describe_machines(capacities: Sequence[Capacity], rates: Sequence[float]) -> list[str]:
    """Write how many services of each size the rates take, with no spare ones, and which size gets most of a core."""
    lines = ["  cores " + "".join(f"{rate:>16,.0f}/s" for rate in rates)]
    lines += [
        f"{it.cores:7} " + "".join(f"{math.ceil(rate / it.rate):>18,}" for rate in rates)
        for it in capacities
        if it.rate
    ]
    best = max(capacities, key=lambda it: it.rate / it.cores)
    if best.rate:
        cores = ", ".join(f"{math.ceil(rate / best.rate) * best.cores:,} for {rate:,.0f}/s" for rate in rates)
        lines.append(f"Services of {best.cores} cores get most of a core, {best.rate / best.cores:.0f}/s: {cores}.")
    return lines
