"""The command `whisker report`. Modules that are slow to import are imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from whisker.model.plain_text import printable
from whisker.training.cli.options.arguments import (
    PHOTOS,
    Device,
    LabelColumn,
    Labels,
    PathColumn,
    label_file,
)
from whisker.training.cli.options.checkpoints import CheckpointOption, First, checkpoint_alone
from whisker.training.cli.options.photos import open_photos


def report(
    first: First = None,
    *,
    checkpoint: CheckpointOption = None,
    photos: Annotated[
        Path | None,
        typer.Option(help=f"{PHOTOS}: to show in the report.", metavar="DIR"),
    ] = None,
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Page to write (default: CHECKPOINT's name + .html, in the current folder).", metavar="FILE"),
    ] = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page of that name.")] = False,
) -> None:
    """Write a checkpoint's report, one HTML file that works offline."""
    from rich.console import Console  # noqa: PLC0415

    from whisker.model import Classifier, load_checkpoint  # noqa: PLC0415
    from whisker.model.engines.device import use_available_cores  # noqa: PLC0415
    from whisker.training.progress import Progress  # noqa: PLC0415
    from whisker.training.report.gallery import open_galleries  # noqa: PLC0415
    from whisker.training.report.page import require_free, write_report  # noqa: PLC0415

    source = checkpoint_alone(first, checkpoint)
    target = out or Path(f"{source.stem}.html")
    require_free(target, overwrite=overwrite)
    if photos is None:
        label_file(labels, path_column, label_column)
        write_report(target, load_checkpoint(source), None)
    else:
        use_available_cores()
        classifier = Classifier.load(source, device)
        progress = Progress(Console(stderr=True, soft_wrap=True))
        root, file = open_photos(photos, labels, path_column, label_column, progress)
        galleries = open_galleries(classifier, root, progress, file)
        write_report(target, classifier.checkpoint, galleries)
    typer.echo(printable(f"Report: {target}"))
