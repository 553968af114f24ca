"""How many HTTP workers so many cores need: computed from measured costs, and nothing else.

The cores' limit is what all of them do if none is ever idle. An HTTP worker's is one core: it is one process. Inference
workers are as many as cores, so they are no limit of their own, and the supervisor is on no request's path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.scale.capacity import CORES, Capacity
from benchmarks.scale.costs import Costs

BUSY = 0.8  # of a core, that an HTTP worker may be: beyond it, answers wait for each other


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests a second on so many cores: if all are busy, with one HTTP worker, and with as many as are needed."""

    cores: int
    all_busy: float
    with_one: float
    http_workers: int

    @property
    def bottleneck(self) -> str:
        """Name what is full first with one HTTP worker."""
        return "cores" if self.with_one == self.all_busy else "HTTP worker"


def limits(costs: Costs, cores: int) -> Limits:
    """Compute them; HTTP workers are 1, 2, 4 and so on, so that they share cores evenly."""
    all_busy = cores / (costs.http + costs.worker)
    workers = 1
    while all_busy * costs.http / workers > BUSY and workers < cores:
        workers *= 2
    return Limits(cores, all_busy, min(all_busy, BUSY / costs.http), workers)


def describe_limits(costs: Costs, found: Mapping[int, Capacity]) -> Iterator[str]:
    """Write a table, with what the simulation found for the cores of one HTTP worker, times their number."""
    yield (
        "  cores   all busy, /s   one HTTP worker, /s   bottleneck    HTTP workers   cores each"
        "   in time, /s   HTTP cores"
    )
    for cores in CORES:
        it = limits(costs, cores)
        each = cores // it.http_workers
        in_time = f"{it.http_workers * found[each].rate:.0f}" if each in found else "-"
        yield (
            f"{cores:7}{it.all_busy:15.0f}{it.with_one:22.0f}   {it.bottleneck:11}{it.http_workers:15}{each:13}"
            f"{in_time:>14}{it.all_busy * costs.http:13.1f}"
        )
    most = BUSY * (1 + costs.worker / costs.http)
    yield f"One HTTP worker is {100 * BUSY:.0f} % busy at {most:.1f} cores; beyond, more cores need more HTTP workers."
    if costs.connection is None or costs.supervisor is None:
        yield "What connections and the supervisor cost was not measured."
        return
    own = costs.http + costs.connection
    yield (
        f"A new connection costs an HTTP worker {1000 * costs.connection:.2f} ms: with one a request it is full at "
        f"{1 / own:.0f} requests/s, with kept ones at {1 / costs.http:.0f}.\n"
        f"The supervisor took {100 * costs.supervisor:.1f} % of a core while two HTTP workers accepted as fast as they "
        f"could, and is on no request's path."
    )
