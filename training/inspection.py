"""The commands that look at photos and checkpoints: `whisker evaluate`, `doctor` and `report`."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from training.arguments import AsJson, Device, Labels, Photos


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="File from `whisker train`.", metavar="CHECKPOINT")],
    photos: Photos,
    *,
    labels: Labels = None,
    device: Device = "auto",
    engine: Annotated[str, typer.Option(help="What runs the network, as WHISKER_ENGINE; torch is float32.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure a checkpoint on a folder of labelled photos, by default with the engine that would serve it."""
    from rich.console import Console  # noqa: PLC0415

    from model import Classifier  # noqa: PLC0415
    from model.answers import VERDICTS  # noqa: PLC0415
    from model.device import use_available_cores  # noqa: PLC0415
    from training.evaluation import evaluate_folder  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415

    use_available_cores()
    classifier = Classifier.load(checkpoint, device, engine=engine)
    result = evaluate_folder(classifier, photos, Progress(Console(stderr=True, soft_wrap=True)), labels)
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
    typer.echo(f"Accuracy: {result.evaluation}")
    typer.echo(f"Calibration error: {result.evaluation.calibration_error:.4f}")
    for verdict in VERDICTS:
        typer.echo(f"{verdict.capitalize()}: {result.verdicts[verdict]:,} answers, {result.wrong[verdict]:,} wrong")
    for name, row in zip(classifier.classes, result.evaluation.confusion, strict=True):
        answered = ", ".join(f"{count:,} {other}" for count, other in zip(row, classifier.classes, strict=True))
        typer.echo(f"{name}: answered {answered}")
    for item in result.quarantined:
        typer.echo(f"Left out {item.path}: {item.reason}", err=True)


def doctor(
    photos: Photos,
    *,
    labels: Labels = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Folder none of whose photos may be in DIR, such as another test set; may be repeated."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="File from `whisker train`: also list the labels that it makes doubtful. It judges photos that it was "
            "trained on too kindly; one trained on other photos of these classes finds more."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write doubtful labels to: correct its column label, then give it as --labels."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Doubtful labels to list.")] = 200,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Tell what is wrong with a folder of labelled photos; change no file."""
    from dataclasses import asdict  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from model import Classifier  # noqa: PLC0415
    from model.device import use_available_cores  # noqa: PLC0415
    from training.data import find_photos  # noqa: PLC0415
    from training.doctor import diagnose, print_diagnosis  # noqa: PLC0415
    from training.doubtful import doubt_folder, print_doubtful, require_new_file, write_doubtful  # noqa: PLC0415
    from training.labels import read_labels  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415

    if out is not None:
        if checkpoint is None:
            raise typer.BadParameter("it needs --checkpoint, which tells what is doubtful.", param_hint="--out")
        require_new_file(out)
    use_available_cores()
    progress, console = Progress(Console(stderr=True, soft_wrap=True)), Console()
    folder = find_photos(photos, at_least=1, labels_file=labels)
    if folder.note:
        progress.say(folder.note)
    classifier = Classifier.load(checkpoint, device) if checkpoint else None
    diagnosis = diagnose(folder, against or [], progress)
    doubtful = doubt_folder(classifier, folder, limit, progress) if classifier else None
    if out is not None and doubtful is not None:
        write_doubtful(out, doubtful.photos, read_labels(labels, photos) if labels else {})
    if as_json:
        typer.echo(json.dumps(diagnosis.to_json() | {"doubtful": asdict(doubtful) if doubtful else None}))
        return
    print_diagnosis(diagnosis, console)
    if doubtful is not None:
        print_doubtful(doubtful, console)
    if out is not None:
        words = shlex.join(["whisker", "train", str(photos), "--labels", str(out)])
        typer.echo(f"Correct the column label in {out}, then: {words}")


def report(
    checkpoint: Annotated[Path, typer.Argument(help="File from `whisker train`.", metavar="CHECKPOINT")],
    *,
    photos: Annotated[
        Path | None, typer.Option(help="Folder that holds one sub-folder of photos a class, to show in the report.")
    ] = None,
    labels: Labels = None,
    out: Annotated[Path | None, typer.Option(help="Page to write (default: CHECKPOINT's name + .html, here).")] = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page of that name.")] = False,
) -> None:
    """Write a checkpoint's report, one HTML file that works offline."""
    from rich.console import Console  # noqa: PLC0415

    from model import Classifier, load_checkpoint  # noqa: PLC0415
    from model.device import use_available_cores  # noqa: PLC0415
    from training.gallery import open_galleries  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415
    from training.report import require_free, write_report  # noqa: PLC0415

    target = out or Path(f"{checkpoint.stem}.html")
    require_free(target, overwrite=overwrite)
    if photos is None:
        write_report(target, load_checkpoint(checkpoint), None)
    else:
        use_available_cores()
        classifier = Classifier.load(checkpoint, device)
        galleries = open_galleries(classifier, photos, Progress(Console(stderr=True, soft_wrap=True)), labels)
        write_report(target, classifier.checkpoint, galleries)
    typer.echo(f"Report: {target}")
