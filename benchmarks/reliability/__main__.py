"""Put a real server through everything that hostile pictures, requests and clients do, and keep the score.

`python -m benchmarks.reliability PHOTOS` prints the scoreboard and writes it as JSON;
docs/explanation/reliability.md explains it.
"""

import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import describe_machine
from benchmarks.photos import read_photos
from benchmarks.reliability.plan import FULL, QUICK, Trial
from benchmarks.reliability.rows import TESTS, run
from benchmarks.reliability.scoreboard import Scoreboard
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.errors import ConfigError, WhiskerError

_RESULTS = Path(__file__).parents[1] / "results"
_NAMES = [test.name for test in TESTS]


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth; up to 64 are sent.")],
    *,
    corpus: Annotated[list[Path] | None, typer.Option(help="Folder of hostile files; may be repeated.")] = None,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint file that is served.")] = BUNDLED_CHECKPOINT,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: for a look, not for a claim.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"A row, may be repeated: {', '.join(_NAMES)}.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = _RESULTS,
) -> None:
    """Run the rows against `whisker serve`; the exit status is 1 if one is missed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, a shell has servers ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # as Ctrl-C does: the server must end, too
    _check(only or (), corpus or ())
    trial = Trial(QUICK if quick else FULL, read_photos(photos), corpus or (), checkpoint)
    scoreboard = Scoreboard(
        date=datetime.now(UTC).astimezone().isoformat(timespec="minutes")[:16],
        machine=describe_machine(),
        measurement={"photos": len(trial.photos), "corpora": [path.name for path in trial.corpora]}
        | asdict(trial.plan),
    )
    for test in TESTS:
        if test.name in (only or _NAMES):
            typer.echo(f"{test.name}: {test.what} ...", err=True)
            scoreboard.rows.append(run(test, trial))
            typer.echo(f"{scoreboard.rows[-1]}\n", err=True)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"reliability-{scoreboard.date.replace(':', '-')}.json"
    file.write_text(scoreboard.to_json())
    typer.echo(f"{scoreboard}\nFigures: {file}")
    if scoreboard.missed:
        raise typer.Exit(1)


def _check(only: Sequence[str], corpora: Sequence[Path]) -> None:
    for name in only:
        if name not in _NAMES:
            raise ConfigError(f"The rows are {', '.join(_NAMES)}; there is no {name!r}.")
    for corpus in corpora:
        if not corpus.is_dir():
            raise ConfigError(f"There is no folder {corpus}: give a folder of hostile files.")


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"torture: {exc}")
