"""The command line of the benchmark of swaps."""

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.http import form_request
from benchmarks.machine import describe_machine
from benchmarks.photos import read_photos
from benchmarks.process import running
from benchmarks.servers import Server
from benchmarks.swaps.results import Results
from benchmarks.swaps.rounds import Plan, measure
from benchmarks.swaps.swapper import Swapper
from benchmarks.swaps.variants import Jury, make_variants, telling_photos
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.errors import WhiskerError

_RESULTS = Path(__file__).parents[1] / "results"
_ADDRESS = ("--host", "127.0.0.1", "--port", "{port}", "--device", "cpu")


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth; up to 64 are sent.")],
    *,
    swaps: Annotated[int, typer.Option(min=1, help="Swaps, at least.")] = 1000,
    load: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the capacity that is sent.")] = 0.7,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a window.")] = 20.0,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file that versions are made of.")] = BUNDLED_CHECKPOINT,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = _RESULTS,
) -> None:
    """Serve a folder of models, and swap versions under load; the exit status is 1 if a bound is missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # as Ctrl-C does: the server must end, too
    plan = Plan(swaps, load, seconds)
    with TemporaryDirectory(prefix="whisker-swaps-") as folder:
        results = run(read_photos(photos), checkpoint, plan, Path(folder))
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"swaps-{results.date.replace(':', '-')}.json"
    file.write_text(results.to_json())
    typer.echo(f"{results.table()}\nFigures: {file}")
    if not all(row.is_met for row in results.rows):
        raise typer.Exit(1)


def run(photos: list[bytes], checkpoint: Path, plan: Plan, folder: Path) -> Results:
    """Make the versions, serve the first, and measure."""
    _say("Making checkpoints that answer differently ...")
    variants, root = make_variants(checkpoint, folder / "variants", photos), folder / "models"
    telling = telling_photos(variants)
    variants = [it.for_photos(telling) for it in variants]
    _say(f"{len(telling):,} of {len(photos):,} photos tell them apart.")
    jury = Jury(variants)
    swapper = Swapper(root, variants, jury)
    swapper.put()
    requests = [form_request("/predict", photos[index]) for index in telling]
    command = ("-m", "whisker", "serve", "--models", str(root), *_ADDRESS)
    server = Server("whisker-models", "Whisker, a folder of models", "default settings", command)
    with running(server, sys.executable, checkpoint, photos[telling[0]]) as running_server:
        figures = measure(running_server, requests, jury, swapper, plan=plan, say=_say)
    date = datetime.now(UTC).astimezone().isoformat(timespec="minutes")[:16]
    return Results(date, describe_machine(), plan, figures)


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
