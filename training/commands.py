"""The commands `whisker train` and `whisker evaluate`; heavy imports wait until a command runs."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

Photos = Annotated[Path, typer.Argument(help="Folder that holds one sub-folder of photos a class.", metavar="DIR")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def train(
    photos: Photos,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint to write [default: DIR's name + .safetensors, here].")
    ] = None,
    preset: Annotated[
        Literal["quick", "standard"], typer.Option(help="quick: minutes; standard: more epochs, more accurate.")
    ] = "quick",
    epochs: Annotated[int | None, typer.Option(help="Passes over the photos, instead of the preset's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak, at 128 photos a step [default: 0.12].")] = None,
    pretrained: Annotated[Path | None, typer.Option(help="Safetensors file of weights to start from.")] = None,
    family: Annotated[
        Literal["mlp", "cnn", "resnet"], typer.Option(help="Fully connected, convolutional or residual.")
    ] = "resnet",
    activation: Annotated[Literal["relu", "sigmoid"], typer.Option(help="Non-linearity of the neurons.")] = "relu",
    width: Annotated[int, typer.Option(help="Neurons of a hidden layer, or channels of the first stage.")] = 32,
    depth: Annotated[int, typer.Option(help="Hidden layers, or layers or blocks a stage.")] = 2,
    grey: Annotated[bool, typer.Option("--grey", help="Let the network see grey values only.")] = False,
    size: Annotated[int, typer.Option(help="Side in pixels of the pictures the network is served.")] = 128,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: what a probe finds faster and right here.")
    ] = "auto",
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
    from model.network import NetworkConfig  # noqa: PLC0415
    from training.config import TrainingConfig, recipe_for  # noqa: PLC0415
    from training.pipeline import Training, run_training  # noqa: PLC0415
    from training.pretrained import file_digest  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415

    network = NetworkConfig(family, activation, width, depth, 1 if grey else 3, size)
    training = Training(
        photos=photos,
        out=out or Path(f"{photos.resolve().name}.safetensors"),
        config=TrainingConfig(
            recipe_for(preset, network, epochs, learning_rate),
            network,
            preset,
            precision,
            file_digest(pretrained),
            seed,
        ),
        device=device,
        pretrained=pretrained,
        resume=resume,
        overwrite=overwrite,
        command=_command_line(sys.argv[1:]),
    )
    progress = Progress()
    evaluation = run_training(training, progress)
    progress.say(f"Test accuracy: {evaluation}, on photos that nothing was chosen by.")
    progress.say(f"Checkpoint: {training.out}; report: {training.report_file}; caches, free to delete: {training.work}")
    progress.say(f"Serve it: whisker serve --checkpoint {shlex.quote(str(training.out))}")


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="File from `whisker train`.", metavar="CHECKPOINT")],
    photos: Photos,
    *,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Measure a checkpoint on a folder of labelled photos."""
    from rich.console import Console  # noqa: PLC0415

    from model import Classifier  # noqa: PLC0415
    from model.engine import use_available_cores  # noqa: PLC0415
    from training.evaluation import evaluate_folder  # noqa: PLC0415
    from training.progress import Progress  # noqa: PLC0415

    use_available_cores()
    classifier = Classifier.load(checkpoint, device)
    result = evaluate_folder(classifier, photos, Progress(Console(stderr=True, soft_wrap=True)))
    if as_json:
        answer = result.evaluation.to_json() | {
            "classes": list(classifier.classes),
            "quarantined": [{"path": item.path, "reason": item.reason} for item in result.quarantined],
        }
        typer.echo(json.dumps(answer))
        return
    typer.echo(f"Accuracy: {result.evaluation}")
    typer.echo(f"Calibration error: {result.evaluation.calibration_error:.4f}")
    for name, row in zip(classifier.classes, result.evaluation.confusion, strict=True):
        answered = ", ".join(f"{count:,} {other}" for count, other in zip(row, classifier.classes, strict=True))
        typer.echo(f"{name}: answered {answered}")
    for item in result.quarantined:
        typer.echo(f"Left out {item.path}: {item.reason}", err=True)


def _command_line(words: Sequence[str]) -> str:
    """Write the command for the checkpoint's provenance; of a path only the name, for others will read it."""
    names = []
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        names.append(option + equals + (Path(value).name if "/" in value else value))
    return "whisker " + shlex.join(names)
