"""The command `whisker compare`. Modules that are slow to import are imported when it runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisker.model.plain_text import printable
from whisker.training.cli.options.arguments import (
    AsJson,
    Device,
    Engine,
    LabelColumn,
    Labels,
    PathColumn,
    Photos,
)
from whisker.training.cli.options.photos import open_photos

if TYPE_CHECKING:
    from rich.console import Console

    from whisker.training.comparing.figures import Comparison

_WORSE = 3  # exit code of --fail-if-worse; 2 is typer's for a wrong option


def compare(
    a: Annotated[Path, typer.Argument(help="Checkpoint in service.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Checkpoint that may replace it.", metavar="B")],
    photos: Photos,
    *,
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    engine: Engine = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write: the photos with another answer or verdict.", metavar="FILE"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    fail_if_worse: Annotated[
        bool,
        typer.Option(
            "--fail-if-worse", help="End with exit code 3 if B is shown to be worse, overall or in a class: for CI."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two checkpoints on the same labelled photos, which neither was trained on.

    Differences are tested photo by photo: McNemar's test decides, and the interval is Tango's.

    Exit codes: 0 for success, 1 for an error, 2 for a wrong option, 3 as --fail-if-worse says.
    """
    from rich.console import Console  # noqa: PLC0415

    from whisker.model import Classifier  # noqa: PLC0415
    from whisker.model.engines.device import use_available_cores  # noqa: PLC0415
    from whisker.training.comparing.answers import Contender  # noqa: PLC0415
    from whisker.training.comparing.changes import require_free, write_changes  # noqa: PLC0415
    from whisker.training.comparing.compare import compare_folder  # noqa: PLC0415
    from whisker.training.comparing.wording import conclude  # noqa: PLC0415
    from whisker.training.progress import Progress  # noqa: PLC0415

    if out is not None:
        require_free(out, overwrite=overwrite)
    progress = Progress(Console(stderr=True, soft_wrap=True))
    use_available_cores()
    served, new = (Contender(path, Classifier.load(path, device, engine=engine)) for path in (a, b))
    root, file = open_photos(photos, labels, path_column, label_column, progress)
    comparison = compare_folder(served, new, root, progress, file)
    if out is not None:
        write_changes(out, comparison.changes)
    if as_json:
        typer.echo(json.dumps(comparison.to_json() | {"conclusion": conclude(comparison)}))
    else:
        _print(comparison, Console())
    if fail_if_worse and comparison.is_worse:
        raise typer.Exit(_WORSE)


def _print(comparison: "Comparison", console: "Console") -> None:
    from rich.table import Table  # noqa: PLC0415

    from whisker.training.comparing.wording import (  # noqa: PLC0415
        conclude,
        describe_classes,
        describe_limits,
        describe_pairs,
        table_rows,
    )

    table = Table("", f"A: {comparison.a.file}", f"B: {comparison.b.file}")
    for row in table_rows(comparison):
        table.add_row(*row)
    console.print(table)
    sentences = (*describe_pairs(comparison), *describe_classes(comparison), *describe_limits(comparison))
    for sentence in (*comparison.trained_on, conclude(comparison), *sentences):
        typer.echo(sentence)
    for path, reason in comparison.quarantined:
        typer.echo(printable(f"Left out {path}: {reason}"), err=True)
