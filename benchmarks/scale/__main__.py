"""`python -m benchmarks.scale PHOTOS`: measure, simulate, compare, and say how many machines a rate takes."""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import describe_machine
from benchmarks.photos import read_photos
from benchmarks.process import running
from benchmarks.scale.accepting import measure_accepting
from benchmarks.scale.capacity import Capacity, cores_that_fill_http, describe_capacities, describe_machines
from benchmarks.scale.comparison import SHARES, Comparison, describe
from benchmarks.scale.costs import Costs
from benchmarks.scale.cpu_sets import describe_sets, measure_sets
from benchmarks.scale.http_limits import BUSY, describe_limits
from benchmarks.scale.pictures import measure_pictures
from benchmarks.scale.service import MAX_BATCH, Setting, costs_of, measure_refusal, measure_service
from benchmarks.scale.simulation import Service
from benchmarks.servers import WHISKER
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.cores import available_cores
from whisker.model.errors import ConfigError, WhiskerError

_RATES = [1_000.0, 100_000.0, 10_000_000.0]


def main(
    photos: Annotated[Path | None, typer.Argument(help="Folder of JPEG photos; up to 64 are sent.")] = None,
    *,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file that is served.")] = BUNDLED_CHECKPOINT,
    quick: Annotated[bool, typer.Option("--quick", help="3 seconds a measurement instead of 10.")] = False,
    costs: Annotated[Path | None, typer.Option(help="Simulate with costs that --save has written.")] = None,
    save: Annotated[Path | None, typer.Option(help="File to write the measured costs to, as JSON.")] = None,
    p99: Annotated[float, typer.Option(min=1, help="Target for the 99th percentile, in milliseconds.")] = 50.0,
    rate: Annotated[list[float] | None, typer.Option(help="Requests a second, may be repeated.")] = None,
    capacity: Annotated[bool, typer.Option(help="Simulate machines of 1 to 64 cores, too.")] = True,
) -> None:
    """Measure what a request costs, check a simulation that knows nothing else, and size machines with it."""
    # As Ctrl-C does: the service under test must end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    if (photos is None) == (costs is None):
        raise ConfigError("Give a folder of photos to measure with, or --costs FILE: one of both.")
    if photos is not None:
        measured = _measure(photos, checkpoint, seconds=3.0 if quick else 10.0)
        if save is not None:
            measured.write(save)
    else:
        assert costs is not None  # noqa: S101 - one of both is given
        measured = Costs.read(costs)
    typer.echo(describe_costs(measured))
    found: list[Capacity] = []
    if capacity:
        typer.echo(f"\nSimulated: one service with a p99 of at most {p99:g} ms and 0.1 % refused")
        found = describe_capacities(measured, p99 / 1000, typer.echo)
        typer.echo("\nServices for so many requests a second, none spare")
        typer.echo("\n".join(describe_machines(found, rate or _RATES)))
    typer.echo(
        f"\nHTTP workers, each at most {100 * BUSY:.0f} % busy; in time is a p99 of at most {p99:g} ms, simulated"
    )
    typer.echo("\n".join(describe_limits(measured, {it.cores: it for it in found})))


def _measure(folder: Path, checkpoint: Path, *, seconds: float) -> Costs:
    photos, cores = read_photos(folder), available_cores()
    for term, value in describe_machine().items():
        typer.echo(f"{term}: {value}")
    setting = Setting(sys.executable, checkpoint, photos, warm_up=2.0, seconds=seconds, say=_say)
    _say("Decoding and the network, on one core and on all")
    alone, together = (
        measure_pictures(checkpoint, photos, processes=processes, max_batch=MAX_BATCH, seconds=seconds)
        for processes in (1, cores)
    )
    _say("The service, and the simulation beside it (measured / simulated)")
    with running(WHISKER, sys.executable, checkpoint, photos[0]) as server:
        service = measure_service(server, setting)
        costs = costs_of(service, measure_refusal(setting, service.http), alone, together)
        comparison = Comparison(server, setting, Service.on(cores), costs)
        rows = [comparison.row(share, service.rate) for share in SHARES]
    typer.echo(f"Peak: {service.rate:.0f} requests/s in batches of {service.mean_batch:.1f}")
    typer.echo("\n".join(describe(rows)))
    _say("The service on a part of the cores")
    typer.echo("\n".join(describe_sets(measure_sets(setting, costs))))
    _say("New connections")
    accepting = measure_accepting(setting)
    typer.echo(f"New connections: {accepting.rate:.0f} a second by two HTTP workers")
    return replace(costs, connection=accepting.connection, supervisor=accepting.supervisor)


def describe_costs(costs: Costs) -> str:
    """Write what a request costs, in milliseconds of a core, with all cores busy."""
    decode = sum(costs.decode) / len(costs.decode)
    network = costs.worker - decode - costs.worker_overhead
    return (
        f"A request costs {1000 * (costs.http + costs.worker):.2f} ms of a core: HTTP {1000 * costs.http:.2f}, "
        f"decoding {1000 * decode:.2f}, network {1000 * network:.2f} in batches of {costs.max_batch}, "
        f"the rest of an inference worker {1000 * costs.worker_overhead:.2f}.\n"
        f"A refusal costs {1000 * costs.refusal:.2f} ms, the load generator {1000 * costs.generator:.2f} ms a request. "
        f"With all cores busy, each takes {costs.slowdown:.2f} times as long.\n"
        f"One HTTP process is full at {1 / costs.http:.0f} requests/s: "
        f"{cores_that_fill_http(costs):.1f} cores of this kind."
    )


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
