"""The command `whisker shrink`. Modules that are slow to import are imported when it runs."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from whisker.training.cli.options.arguments import (
    AsJson,
    Device,
    FalseAlarms,
    LabelColumn,
    Labels,
    Name,
    Outliers,
    PathColumn,
    Precision,
    checked_name,
)
from whisker.training.cli.options.checkpoints import CheckpointOption, First, Second, checkpoint_and_folder
from whisker.training.cli.options.photos import open_photos, open_unlabelled
from whisker.training.cli.result import command_line, open_progress, print_result


def shrink(
    first: First = None,
    second: Second = None,
    *,
    out: Annotated[Path, typer.Option(help="Checkpoint to write.", metavar="FILE")],
    checkpoint: CheckpointOption = None,
    name: Name = None,
    size: Annotated[
        int | None,
        typer.Option(metavar="N", help="New input size in pixels (default: five sixths of the checkpoint's)."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the photos.")] = 10,
    learning_rate: Annotated[
        float, typer.Option(min=1e-6, max=10, metavar="RATE", help="Peak, at 128 photos per step.")
    ] = 0.02,  # low: it starts from weights that are good
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Precision; auto: bfloat16 if it is faster and accurate on this machine."),
    ] = "auto",
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    outliers: Outliers = None,
    precision: Precision = None,
    false_alarms: FalseAlarms = 0.05,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the checkpoint of that name, and drop an unfinished training.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Teach a checkpoint, with the photos of its training, to see in smaller pictures, which are served faster."""
    from torch import distributed  # noqa: PLC0415

    from whisker.model import load_checkpoint  # noqa: PLC0415
    from whisker.model.errors import ConfigError  # noqa: PLC0415
    from whisker.training.cli.options.training import choose_targets  # noqa: PLC0415
    from whisker.training.job import Training, state_file_of  # noqa: PLC0415
    from whisker.training.shrinking import Shrinkage, run_shrinking  # noqa: PLC0415

    if distributed.is_torchelastic_launched():
        raise ConfigError("whisker shrink runs in a single process: start it without torchrun.")
    given, photos = checkpoint_and_folder(first, second, checkpoint)
    source, progress = load_checkpoint(given), open_progress(as_json=as_json)
    config = Shrinkage(size, epochs, learning_rate, dtype).config(source)
    work = state_file_of(out).parent
    root, file = open_photos(photos, labels, path_column, label_column, progress, work=work)
    training = Training(
        photos=root,
        out=out,
        config=config,
        targets=choose_targets(precision, false_alarms),
        device=device,
        labels=file,
        outliers=None if outliers is None else open_unlabelled(outliers, progress, work=work),
        resume=resume,
        overwrite=overwrite,
        name=checked_name(name),
        command=command_line(sys.argv[1:]),
    )
    print_result(training, run_shrinking(training, source, progress), progress, as_json=as_json)
