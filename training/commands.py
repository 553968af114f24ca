"""The commands `whisker train` and `whisker evaluate`; heavy imports wait until a command runs."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from training.metrics import Evaluation
    from training.pipeline import Training
    from training.progress import Progress

Photos = Annotated[Path, typer.Argument(help="Folder that holds one sub-folder of photos a class.", metavar="DIR")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with columns path (relative to DIR) and label. It corrects class folders if a folder in DIR has "
        "the name of one of its labels, and photos that it does not name keep their class; otherwise only the photos "
        "that it names are used. An empty label leaves a photo out."
    ),
]
Outliers = Annotated[
    Path | None,
    typer.Option(help="Folder of photos of anything else, at any depth: teaches the verdict unknown what to catch."),
]
Precision = Annotated[
    float,
    typer.Option(min=0.5, max=0.9999, help="Share of the answers called confident that shall be right."),
]
FalseAlarms = Annotated[
    float, typer.Option(min=0.0001, max=0.5, help="Share of photos of known classes that may be called unknown.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def train(
    photos: Photos,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint to write [default: DIR's name + .safetensors, here].")
    ] = None,
    preset: Annotated[
        Literal["quick", "standard", "best"] | None,
        typer.Option(help="quick [default]: minutes; standard: an hour; best: hours, for the last points of accuracy."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Time to take: probes this machine, then chooses width, sizes and epochs."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the photos, instead of the preset's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak, at 128 photos a step [default: 0.12].")] = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            help="Start from a Whisker checkpoint, or from a ResNet-18 or -34 as safetensors; fixes the network."
        ),
    ] = None,
    family: Annotated[
        Literal["mlp", "cnn", "resnet"] | None,
        typer.Option(help="Fully connected, convolutional or residual [default: resnet]."),
    ] = None,
    activation: Annotated[
        Literal["relu", "sigmoid"] | None, typer.Option(help="Non-linearity of the neurons [default: relu].")
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Neurons of a hidden layer, or channels of the first stage [default: 32].")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers, or layers or blocks a stage [default: 2].")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Let the network see grey values only.")] = False,
    size: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels of the pictures the network is served [default: 128, less for small photos]."
        ),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Numbers to compute with; auto: what a probe finds faster and right here."),
    ] = "auto",
    labels: Labels = None,
    outliers: Outliers = None,
    precision: Precision = 0.99,
    false_alarms: FalseAlarms = 0.05,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.4, help="Share of each class's photos to choose and calibrate by.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(min=0.01, max=0.4, help="Share of each class's photos to measure the result on, once.")
    ] = 0.1,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of the split, the weights and the augmentation.")
    ] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the checkpoint, drop an unfinished training.")
    ] = False,
) -> None:
    """Teach a network with a folder of photos: DIR/<class>/*.jpg."""
    from training.distributed import joined_world  # noqa: PLC0415
    from training.finishing import Promises  # noqa: PLC0415
    from training.options import NetworkOptions, TrainingOptions  # noqa: PLC0415
    from training.pipeline import Training, run_training, unfinished_state  # noqa: PLC0415
    from training.progress import Progress, silent  # noqa: PLC0415

    options = TrainingOptions(
        photos=photos,
        network=NetworkOptions(family, activation, width, depth, grey, size),
        labels=labels,
        pretrained=pretrained,
        preset=preset,
        epochs=epochs,
        minutes=minutes,
        learning_rate=learning_rate,
        dtype=dtype,
        seed=seed,
        validation=validation,
        test=test,
        device=device,
    )
    with joined_world(device) as (world, place):
        progress = Progress() if world.leads else silent()
        target = out or Path(f"{photos.resolve().name}.safetensors")
        training = Training(
            photos=photos,
            out=target,
            config=world.agree(lambda: options.choose_config(unfinished_state(target) if resume else None, progress)),
            promises=Promises(precision, false_alarms),
            device=place,
            labels=labels,
            outliers=outliers,
            pretrained=pretrained,
            resume=resume,
            overwrite=overwrite,
            command=_command_line(sys.argv[1:]),
        )
        evaluation = run_training(training, progress, world)
    if evaluation is not None:
        _say_result(training, evaluation, progress)


def calibrate(
    checkpoint: Annotated[Path, typer.Argument(help="File from `whisker train`.", metavar="CHECKPOINT")],
    photos: Photos,
    *,
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    labels: Labels = None,
    outliers: Outliers = None,
    precision: Precision = 0.99,
    false_alarms: FalseAlarms = 0.05,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the checkpoint of that name.")] = False,
) -> None:
    """Fit a checkpoint's verdicts anew, on the photos it was trained with; its weights stay."""
    from model import load_checkpoint  # noqa: PLC0415
    from training.finishing import Promises  # noqa: PLC0415
    from training.pipeline import Training, run_calibration, split_config  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415

    source, progress = load_checkpoint(checkpoint), Progress()
    training = Training(
        photos=photos,
        out=out,
        config=split_config(source),
        promises=Promises(precision, false_alarms),
        device=device,
        labels=labels,
        outliers=outliers,
        overwrite=overwrite,
        command=_command_line(sys.argv[1:]),
    )
    _say_result(training, run_calibration(training, source, progress), progress)


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="File from `whisker train`.", metavar="CHECKPOINT")],
    photos: Photos,
    *,
    labels: Labels = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Measure a checkpoint on a folder of labelled photos."""
    from rich.console import Console  # noqa: PLC0415

    from model import Classifier  # noqa: PLC0415
    from model.classifier import VERDICTS  # noqa: PLC0415
    from model.engine import use_available_cores  # noqa: PLC0415
    from training.evaluation import evaluate_folder  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415

    use_available_cores()
    classifier = Classifier.load(checkpoint, device)
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Tell what is wrong with a folder of labelled photos; change no file."""
    from dataclasses import asdict  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from model import Classifier  # noqa: PLC0415
    from model.engine import use_available_cores  # noqa: PLC0415
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
    out: Annotated[Path | None, typer.Option(help="Page to write [default: CHECKPOINT's name + .html, here].")] = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page of that name.")] = False,
) -> None:
    """Write a checkpoint's report, one HTML file that works offline."""
    from rich.console import Console  # noqa: PLC0415

    from model import Classifier, load_checkpoint  # noqa: PLC0415
    from model.engine import use_available_cores  # noqa: PLC0415
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


def _say_result(training: "Training", evaluation: "Evaluation", progress: "Progress") -> None:
    progress.say(f"Test accuracy: {evaluation}, on photos that nothing was chosen by.")
    progress.say(f"Checkpoint: {training.out}; report: {training.report_file}; caches, free to delete: {training.work}")
    progress.say(f"Serve it: whisker serve --checkpoint {shlex.quote(str(training.out))}")


def _command_line(words: Sequence[str]) -> str:
    """Write the command for the checkpoint's provenance; of a path only the name, for others will read it."""
    names = []
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        names.append(option + equals + (Path(value).name if "/" in value else value))
    return "whisker " + shlex.join(names)
