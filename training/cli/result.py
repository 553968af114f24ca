"""Output of the commands that make a checkpoint: progress, the result, and the command itself for its provenance."""

import json
import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from whisker.training.calibration.metrics import Measured
    from whisker.training.events.event import Observer
    from whisker.training.job import Training
    from whisker.training.progress import Progress

_MAX_LABELS = 10  # of a multi-label checkpoint, with a line each


def open_progress(*, as_json: bool, observers: "Sequence[Observer]" = ()) -> "Progress":
    """Show progress on stdout or, if a program reads the result there, on stderr."""
    from rich.console import Console  # noqa: PLC0415

    from whisker.training.progress import Progress  # noqa: PLC0415

    return Progress(Console(stderr=True, soft_wrap=True) if as_json else None, observers=observers)


def print_result(training: "Training", evaluation: "Measured", progress: "Progress", *, as_json: bool) -> None:
    from whisker.model import load_checkpoint  # noqa: PLC0415
    from whisker.model.card.wording.advice import advise  # noqa: PLC0415
    from whisker.training.report.page import summarise  # noqa: PLC0415

    if as_json:
        files = {"checkpoint": str(training.out), "report": str(training.report_file), "caches": str(training.work)}
        typer.echo(json.dumps(files | {"test": evaluation.to_json()}))
        return
    checkpoint = load_checkpoint(training.out)
    summary = summarise(checkpoint)
    if summary.metrics.extension is not None:
        progress.say(f"Accuracy on new photos and on stand-ins for old ones: {evaluation}.")
    elif training.config.cross_validated:
        progress.say(f"{'Labels' if training.config.multi_label else 'Accuracy'} by cross-validation: {evaluation}.")
    else:
        what = "Test of the labels" if training.config.multi_label else "Test accuracy"
        progress.say(f"{what}: {evaluation}, on photos that were not used for any choice.")
        if summary.provenance.imported is not None:
            progress.say("Whether the imported classifier was trained with any of them is not known.")
    if training.config.multi_label:
        for line in islice(evaluation.describe_classes(checkpoint.classes), _MAX_LABELS):
            progress.say(f"  {line}")
    for number, sentence in enumerate(advise(summary), 1):
        progress.say(f"{number}. {sentence}")
    progress.say(
        f"Checkpoint: {training.out}; report: {training.report_file}; caches, which may be deleted: {training.work}"
    )
    progress.say(f"Serve it: whisker serve {shlex.quote(str(training.out))}")


def command_line(words: Sequence[str]) -> str:
    """Format the command for the checkpoint's provenance; paths are cut to their names, because others will see it."""
    from whisker.training.pretrained.hub import PREFIX  # noqa: PLC0415

    names = []
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        is_path = "/" in value and not value.startswith(PREFIX)
        name = Path(value).name if is_path else value
        names.append(option + equals + (name.rpartition("@")[2] if "://" in value else name))  # passwords, too
    return "whisker " + shlex.join(names)
