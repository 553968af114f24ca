"""`--workers 1` against more, in alternating pairs: `python -m benchmarks.scale.http_workers PHOTOS`."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks.connections import Target
from benchmarks.http import form_request
from benchmarks.load import run_closed
from benchmarks.photos import read_photos
from benchmarks.process import running
from benchmarks.results import COMPARED, Point
from benchmarks.servers import WHISKER
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.errors import WhiskerError


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth; up to 64 are sent.")],
    *,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file that is served.")] = BUNDLED_CHECKPOINT,
    workers: Annotated[int, typer.Option(min=2, help="HTTP workers to compare with one.")] = 2,
    pairs: Annotated[int, typer.Option(min=1, help="How often each is measured, in turns.")] = 5,
    connections: Annotated[int, typer.Option(min=1, help="Connections of the closed loop.")] = COMPARED,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds of a measurement, after 2 to warm up.")] = 5.0,
) -> None:
    """Measure requests a second, latency and memory with one HTTP worker and with several, in turns."""
    # As Ctrl-C does: the service under test must end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    sent, found = read_photos(photos), dict[int, list[Point]]({1: [], workers: []})
    for turn in range(pairs):
        for count in (1, workers) if turn % 2 == 0 else (workers, 1):  # what drifts meanwhile favours neither
            point = measure(count, checkpoint, sent, connections=connections, seconds=seconds)
            found[count].append(point)
            typer.echo(f"--workers {count}: {point}")
    typer.echo(describe(found[1], found[workers], workers))


def measure(workers: int, checkpoint: Path, photos: Sequence[bytes], *, connections: int, seconds: float) -> Point:
    """Measure one service of its own."""
    server = replace(WHISKER, command=(*WHISKER.command, "--workers", str(workers)))
    with running(server, sys.executable, checkpoint, photos[0]) as it:
        target = Target(it.port, [form_request(WHISKER.path, photo) for photo in photos])
        load = run_closed(target, connections, warm_up=2.0, seconds=seconds, server_cpu=it.cpu_seconds)
        return Point.of(load, rss_mb=it.rss_mb(), connections=connections)


def describe(one: Sequence[Point], several: Sequence[Point], workers: int) -> str:
    """Write the medians, and the ratio of each pair."""
    ratios = [
        sorted(getattr(b, name) / getattr(a, name) for a, b in zip(one, several, strict=True))
        for name in ("requests_per_second", "p99_ms", "rss_mb")
    ]
    rows = zip(("requests/s", "p99", "resident memory"), ratios, strict=True)
    return "\n".join(
        f"{what}: --workers {workers} gives {median(each):.2f} times that of 1 (pairs {each[0]:.2f} to {each[-1]:.2f})"
        for what, each in rows
    )


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
