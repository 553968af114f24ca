"""How fast Whisker serves beside its peers: the same checkpoint, photos and machine, one server after the other.

`python -m benchmarks.serve PHOTOS` writes the figures as JSON and as a page with plots;
docs/explanation/speed.md explains them.
"""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer

from benchmarks.limit import measure_limit
from benchmarks.machine import describe_machine
from benchmarks.measure import FULL, QUICK, Plan, Setting, measure_server
from benchmarks.page import write_page
from benchmarks.photos import enlarge, read_photos
from benchmarks.results import Results, summarise
from benchmarks.servers import PEERS, WHISKER
from whisker.model import BUNDLED_CHECKPOINT, load_checkpoint
from whisker.model.errors import ConfigError, WhiskerError
from whisker.model.networks.build import require_trainable

_LARGE_PHOTOS = 8
_RESULTS = Path(__file__).parent / "results"
_NAMES = [server.name for server in (WHISKER, *PEERS)]


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth; up to 64 are sent.")],
    *,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file that all servers serve.")] = BUNDLED_CHECKPOINT,
    quick: Annotated[
        bool, typer.Option("--quick", help="3 seconds a measurement instead of 10, one try each.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"A server, may be repeated: {', '.join(_NAMES)}.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = _RESULTS,
) -> None:
    """Measure Whisker and every peer that is installed, and write JSON and a page."""
    # As Ctrl-C does: the server under test must end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    for name in only or ():
        if name not in _NAMES:
            raise ConfigError(f"The servers are {', '.join(_NAMES)}; there is no {name!r}.")
    python = _peers_python()
    results = measure(photos, checkpoint, QUICK if quick else FULL, only or _NAMES, python)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{results.date.replace(':', '-')}.json"
    file.write_text(results.to_json())
    page = file.with_suffix(".html")
    write_page(page, results)
    for row in summarise(results):
        typer.echo(f"{row.what}: {row.value:.3g} {row.unit} ({'; '.join(filter(None, (row.met, row.detail)))})")
    typer.echo(f"Figures: {file}; page: {page}")


def measure(folder: Path, checkpoint: Path, plan: Plan, only: Sequence[str], python: str) -> Results:
    """Measure the in-process limit and the servers."""
    photos = read_photos(folder)
    loaded = load_checkpoint(checkpoint)
    large = [enlarge(photo) for photo in photos[:_LARGE_PHOTOS]]
    limit = measure_limit(checkpoint, photos, warm_up=plan.warm_up, seconds=plan.seconds)
    _say(f"In-process limit: {limit:.1f} photos/s")
    network = require_trainable(loaded.network)
    results = Results(
        date=datetime.now(UTC).astimezone().isoformat(timespec="minutes")[:16],
        machine=describe_machine(),
        checkpoint={
            "name": loaded.name,
            "sha256": sha256(checkpoint.read_bytes()).hexdigest(),
            "network": f"{network.family}, width {network.width}, {network.size} px",
        },
        photos={
            "count": len(photos),
            "mean_bytes": round(fmean(map(len, photos))),
            "large_mean_bytes": round(fmean(map(len, large))),
        },
        measurement={"warm_up_seconds": plan.warm_up, "seconds": plan.seconds, "tries": plan.tries},
        limit=limit,
    )
    setting = Setting(plan, checkpoint, photos, large, limit, _say)
    for server in (WHISKER, *PEERS):
        if server.name in only:
            own = sys.executable if server is WHISKER else python
            results.servers.append(measure_server(server, own, setting))
    return results


def _peers_python() -> str:
    """Find the Python that has the peers: this one, unless `PEERS_PYTHON` names another."""
    named = os.environ.get("PEERS_PYTHON") or sys.executable
    found = shutil.which(named)
    if found is None:
        raise ConfigError(f"PEERS_PYTHON is {named}, which is no program: give the path of a Python with the peers.")
    return found


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
