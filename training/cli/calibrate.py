"""The command `whisker calibrate`. Modules that are slow to import are imported when it runs."""

import sys
from pathlib import Path
from typing import Annotated

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


def calibrate(
    first: First = None,
    second: Second = None,
    *,
    out: Annotated[Path, typer.Option(help="Checkpoint to write.", metavar="FILE")],
    checkpoint: CheckpointOption = None,
    name: Name = None,
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    outliers: Outliers = None,
    precision: Precision = None,
    false_alarms: FalseAlarms = 0.05,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the checkpoint of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Recalibrate a checkpoint's verdicts on the photos of its training; its weights do not change."""
    from whisker.model import load_checkpoint  # noqa: PLC0415
    from whisker.training.cli.options.training import choose_targets  # noqa: PLC0415
    from whisker.training.job import Training, state_file_of  # noqa: PLC0415
    from whisker.training.pipeline import run_calibration, split_config  # noqa: PLC0415

    given, photos = checkpoint_and_folder(first, second, checkpoint)
    source, progress = load_checkpoint(given), open_progress(as_json=as_json)
    work = state_file_of(out).parent
    root, file = open_photos(photos, labels, path_column, label_column, progress, work=work)
    training = Training(
        photos=root,
        out=out,
        config=split_config(source),
        targets=choose_targets(precision, false_alarms),
        device=device,
        labels=file,
        outliers=None if outliers is None else open_unlabelled(outliers, progress, work=work),
        overwrite=overwrite,
        name=checked_name(name),
        command=command_line(sys.argv[1:]),
    )
    print_result(training, run_calibration(training, source, progress), progress, as_json=as_json)
