"""What Ray Serve's proxy costs: Whisker behind it and `whisker serve`, asked in turn, as ratios of neighbours in time.

`python -m benchmarks.ray_overhead PHOTOS`
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.http import raw_request
from benchmarks.load import Load, run_closed
from benchmarks.photos import read_photos
from benchmarks.process import RunningServer, running
from benchmarks.servers import WHISKER, Server
from whisker.model import BUNDLED_CHECKPOINT

_RAY = Server("whisker-ray", "Whisker on Ray Serve", "a replica", ("-m", "benchmarks.peers.whisker_ray", "{port}"))
_CONNECTIONS = (1, 16)


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth; up to 64 are sent.")],
    *,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file.")] = BUNDLED_CHECKPOINT,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of measurements.")] = 10,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of each measurement.")] = 3.0,
) -> None:
    """Run both at once, and load one after the other; the idle one takes nothing but memory."""
    sent = read_photos(photos)
    requests = [raw_request("/predict", photo) for photo in sent]
    with (
        running(WHISKER, sys.executable, checkpoint, sent[0]) as plain,
        running(_RAY, sys.executable, checkpoint, sent[0]) as behind,
    ):
        for connections in _CONNECTIONS:
            loads = [
                [_load(server, requests, connections, seconds) for server in (plain, behind)] for _ in range(pairs)
            ]
            rates = sorted(second.rate / first.rate for first, second in loads)
            medians = sorted(second.percentile(50) / first.percentile(50) for first, second in loads)
            cpu = sorted(_cpu_each(second) / _cpu_each(first) for first, second in loads)
            for what, ratios in (("photos/s", rates), ("p50", medians), ("CPU a photo", cpu)):
                spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
                typer.echo(f"{connections} connections, {what}: {median(ratios):.2f} of `whisker serve` ({spread})")


def _load(server: RunningServer, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    load = run_closed(
        Target(server.port, requests), connections, warm_up=0.5, seconds=seconds, server_cpu=server.cpu_seconds
    )
    if load.errors or not load.latencies:
        raise BenchmarkError(f"Not all was answered: {load.errors}.")
    return load


def _cpu_each(load: Load) -> float:
    return load.server_cpu / len(load.latencies)


if __name__ == "__main__":
    try:
        typer.run(main)
    except BenchmarkError as exc:
        sys.exit(f"benchmark: {exc}")
