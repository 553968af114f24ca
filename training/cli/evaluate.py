"""The command `whisker evaluate`. Modules that are slow to import are imported when it runs."""

import json

import typer

from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.cli.options.arguments import (
    AsJson,
    Device,
    Engine,
    LabelColumn,
    Labels,
    PathColumn,
)
from whisker.training.cli.options.checkpoints import CheckpointOption, First, Second, checkpoint_and_folder
from whisker.training.cli.options.photos import open_photos


def evaluate(
    first: First = None,
    second: Second = None,
    *,
    checkpoint: CheckpointOption = None,
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    engine: Engine = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure a checkpoint on a folder of labelled photos, by default with the engine that serves it."""
    from rich.console import Console  # noqa: PLC0415

    from whisker.model import Classifier  # noqa: PLC0415
    from whisker.model.answers.decision_rule import VERDICTS  # noqa: PLC0415
    from whisker.model.engines.device import use_available_cores  # noqa: PLC0415
    from whisker.training.evaluation.evaluate import evaluate_folder  # noqa: PLC0415
    from whisker.training.evaluation.evaluate_labels import evaluate_folder_labels  # noqa: PLC0415
    from whisker.training.progress import Progress  # noqa: PLC0415

    source, photos = checkpoint_and_folder(first, second, checkpoint)
    use_available_cores()
    classifier = Classifier.load(source, device, engine=engine)
    progress = Progress(Console(stderr=True, soft_wrap=True))
    root, file = open_photos(photos, labels, path_column, label_column, progress)
    measure = evaluate_folder if classifier.checkpoint.task == "single-label" else evaluate_folder_labels
    result = measure(classifier, root, progress, file)
    if as_json:
        answer = result.evaluation.to_json() | {
            "classes": list(classifier.classes),
            "verdicts": {
                verdict: {"answers": result.verdicts[verdict], "wrong": result.wrong[verdict]} for verdict in VERDICTS
            },
            "quarantined": [{"path": item.path, "reason": item.reason} for item in result.quarantined],
        }
        typer.echo(json.dumps(answer))
        return
    for line in result.evaluation.describe():
        typer.echo(printable(line))
    for verdict in VERDICTS:
        answers = amount(result.verdicts[verdict], "answer")
        typer.echo(f"{verdict.capitalize()}: {answers}, {result.wrong[verdict]:,} wrong")
    for line in result.evaluation.describe_classes(classifier.classes):
        typer.echo(printable(line))
    for item in result.quarantined:
        typer.echo(printable(f"Left out {item.path}: {item.reason}"), err=True)
