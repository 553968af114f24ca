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
    Outliers,
    PathColumn,
    Photos,
    Precision,
)
from whisker.training.cli.options.photos import open_photos, open_unlabelled
from whisker.training.cli.result import command_line, open_progress, print_result


def calibrate(
    checkpoint: Annotated[Path, typer.Argument(help="File from `whisker train`.", metavar="CHECKPOINT")],
    photos: Photos,
    *,
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
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

    source, progress = load_checkpoint(checkpoint), open_progress(as_json=as_json)
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
        command=command_line(sys.argv[1:]),
    )
    print_result(training, run_calibration(training, source, progress), progress, as_json=as_json)
