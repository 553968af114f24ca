"""The commands that make checkpoints: `whisker train` and `calibrate`; heavy imports wait until a command runs."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from training.arguments import AsJson, Device, FalseAlarms, Labels, Outliers, Photos, Precision

if TYPE_CHECKING:
    from training.metrics import Evaluation
    from training.pipeline import Training
    from training.progress import Progress


def train(
    photos: Photos,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint to write (default: DIR's name + .safetensors, here).")
    ] = None,
    preset: Annotated[
        Literal["quick", "standard", "best"] | None,
        typer.Option(help="quick (default): minutes; standard: an hour; best: hours, for the last points of accuracy."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Time to take: probes this machine, then chooses width, sizes and epochs."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the photos, instead of the preset's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak, at 128 photos a step (default: 0.12).")] = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            help="Start from a Whisker checkpoint, or from a ResNet-18 or -34 as safetensors; fixes the network."
        ),
    ] = None,
    family: Annotated[
        Literal["mlp", "cnn", "resnet"] | None,
        typer.Option(help="Fully connected, convolutional or residual (default: resnet)."),
    ] = None,
    activation: Annotated[
        Literal["relu", "sigmoid"] | None, typer.Option(help="Non-linearity of the neurons (default: relu).")
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Neurons of a hidden layer, or channels of the first stage (default: 32).")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers, or layers or blocks a stage (default: 2).")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Let the network see grey values only.")] = False,
    size: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels of the pictures the network is served (default: 128, less for small photos)."
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
    as_json: AsJson = False,
) -> None:
    """Teach a network with a folder of photos: DIR/<class>/*.jpg.

    Exit codes: 0 when done, 1 when that is impossible, 130 after Ctrl-C, with what was done saved for --resume.
    """
    from training.distributed import joined_world  # noqa: PLC0415
    from training.finishing import Promises  # noqa: PLC0415
    from training.options import NetworkOptions, TrainingOptions  # noqa: PLC0415
    from training.pipeline import Training, run_training, unfinished_state  # noqa: PLC0415
    from training.progress import silent  # noqa: PLC0415

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
        progress = _progress(as_json=as_json) if world.leads else silent()
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
        _say_result(training, evaluation, progress, as_json=as_json)


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
    as_json: AsJson = False,
) -> None:
    """Fit a checkpoint's verdicts anew, on the photos it was trained with; its weights stay."""
    from model import load_checkpoint  # noqa: PLC0415
    from training.finishing import Promises  # noqa: PLC0415
    from training.pipeline import Training, run_calibration, split_config  # noqa: PLC0415

    source, progress = load_checkpoint(checkpoint), _progress(as_json=as_json)
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
    _say_result(training, run_calibration(training, source, progress), progress, as_json=as_json)


def _progress(*, as_json: bool) -> "Progress":
    """Show progress on the terminal; where a program reads the result, on stderr."""
    from rich.console import Console  # noqa: PLC0415

    from training.progress import Progress  # noqa: PLC0415

    return Progress(Console(stderr=True, soft_wrap=True)) if as_json else Progress()


def _say_result(training: "Training", evaluation: "Evaluation", progress: "Progress", *, as_json: bool) -> None:
    if as_json:
        files = {"checkpoint": str(training.out), "report": str(training.report_file), "caches": str(training.work)}
        typer.echo(json.dumps(files | {"test": evaluation.to_json()}))
        return
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
