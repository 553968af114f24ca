"""Compare `whisker train` with the fine-tuning that other libraries document.

See docs/explanation/fine-tuning-compared.md.

`python -m benchmarks.transfer FOLDER --photos 50 --seeds 3 --minutes 3`, FOLDER/<class>/*
"""

import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import describe_machine
from benchmarks.transfer.contenders import TITLES, Conditions, compete
from benchmarks.transfer.journal import Journal
from benchmarks.transfer.photos import draw
from benchmarks.transfer.table import write_table
from whisker.model.cores import available_cores
from whisker.model.engines.device import use_available_cores
from whisker.model.errors import ConfigError, WhiskerError
from whisker.training.progress import Progress

_RESULTS = Path(__file__).parents[1] / "results"


def main(
    folder: Annotated[Path, typer.Argument(help="Photos, FOLDER/<class>/*.", metavar="FOLDER")],
    *,
    photos: Annotated[int, typer.Option(min=2, help="Photos of each class to learn from; the others test.")] = 50,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of photos, numbered from 0.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time for each training, on all cores.")] = 3.0,
    size: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 224,
    classes: Annotated[str, typer.Option(help="Classes to use, separated by commas (default: all).")] = "",
    only: Annotated[list[str] | None, typer.Option(help=f"A row, may be repeated: {', '.join(TITLES)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="Journal to go on with (default: in benchmarks/results).")] = None,
) -> None:
    """Train every contender with every seed, unless the journal has it, and write the table beside the journal."""
    chosen = tuple(name for name in classes.split(",") if name)
    settings = {
        "folder": folder.name,
        "classes": list(chosen),
        "photos": photos,
        "minutes": minutes,
        "size": size,
        "cores": available_cores(),
    }
    _check(only or ())
    use_available_cores()
    progress = Progress()
    journal = Journal.open(out or _RESULTS / f"transfer-{folder.name}-{photos}.json", settings)
    for seed in range(seeds):
        task = draw(folder, photos, seed, chosen)
        for name in only or TITLES:
            if journal.has(name, seed):
                continue
            load = os.getloadavg()[0]
            progress.say(f"{TITLES[name]}, seed {seed}; load of the machine {load:.1f} ...")
            with tempfile.TemporaryDirectory(prefix="whisker-benchmark-") as work:
                row = compete(name, task, seed, Conditions(size, minutes, Path(work), progress))
            journal.add(replace(row, load=load))
            progress.say(f"{TITLES[name]}, seed {seed}: {row.accuracy:.1%} right, {row.seconds:.0f} s")
    _write(journal, progress)


def _check(names: Iterable[str]) -> None:
    for name in names:
        if name not in TITLES:
            raise ConfigError(f"The rows are {', '.join(TITLES)}; there is no {name!r}.")


def _write(journal: Journal, progress: Progress) -> None:
    table = write_table(journal.rows, TITLES)
    loads = [row.load for row in journal.rows]
    facts = (
        *(f"{term}: {value}" for term, value in journal.settings.items()),
        f"Load of the machine when a training began: {min(loads):.1f} to {max(loads):.1f}",
        *(f"{term}: {value}" for term, value in describe_machine().items()),
    )
    file = journal.path.with_suffix(".md")
    file.write_text("\n".join((table, "", *(f"- {fact}" for fact in facts), "")))
    progress.say(f"{table}\nTable: {file}; journal: {journal.path}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"transfer: {exc}")
