"""The command `whisker import`. Modules that are slow to import are imported when it runs."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from whisker.model.errors import ConfigError
from whisker.training.cli.options.arguments import Name, checked_name
from whisker.training.cli.options.onnx import (
    ChannelsOption,
    ClassNames,
    CropFraction,
    LayoutOption,
    Mean,
    OutputsOption,
    RangeOption,
    ResampleOption,
    ResizeOption,
    Size,
    Std,
    preprocessing_of,
    required,
)
from whisker.training.cli.result import command_line, open_progress


def import_weights(
    file: Annotated[
        Path,
        typer.Argument(
            help="State dict saved by PyTorch, of a network that Whisker builds; or an image classifier in ONNX.",
            metavar="FILE",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="File to write; its name ends in .safetensors.", metavar="FILE")],
    labels: ClassNames = None,
    size: Size = None,
    mean: Mean = (0.0, 0.0, 0.0),
    std: Std = (1.0, 1.0, 1.0),
    layout: LayoutOption = "NCHW",
    channels: ChannelsOption = "rgb",
    scale: RangeOption = "0..1",
    resize: ResizeOption = "squash",
    crop_fraction: CropFraction = None,
    resample: ResampleOption = "bilinear",
    outputs: OutputsOption = "logits",
    name: Name = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of that name.")] = False,
) -> None:
    """Convert PyTorch weights for --pretrained, or an ONNX classifier to serve, without executing anything in it."""
    from whisker.training.importing.classifier import OnnxImport, import_classifier, is_onnx  # noqa: PLC0415

    progress = open_progress(as_json=False)
    if not is_onnx(file):
        _import_state_dict(file, out, overwrite=overwrite, described=labels is not None or size is not None)
        return
    from whisker.model.onnx.config import GraphConfig  # noqa: PLC0415

    labels, size = required(labels, size, file)
    given = OnnxImport(
        file=file,
        labels=labels,
        out=out,
        input=GraphConfig(size, layout=layout, order=channels, scale=scale, mean=mean, std=std),
        preprocessing=preprocessing_of(size, resize, crop_fraction, resample),
        outputs=outputs,
        overwrite=overwrite,
        name=checked_name(name),
        command=command_line(sys.argv[1:]),
    )
    import_classifier(given, progress)
    path = shlex.quote(str(out))
    progress.say(
        f"Wrote {out}. It is not calibrated: its scores are those of its author, no answer is called confident, and "
        "nothing is known of its training."
    )
    progress.say(f"Calibrate and measure it on photos of its classes: whisker calibrate {path} photos --out FILE")
    progress.say(f"Serve it: whisker serve {path}")


def _import_state_dict(file: Path, out: Path, *, overwrite: bool, described: bool) -> None:
    from whisker.training.pretrained.state_dicts import convert_state_dict  # noqa: PLC0415

    if described:
        raise ConfigError(f"--labels and --size describe ONNX classifiers, and {file} is none.")
    progress = open_progress(as_json=False)
    recognised = convert_state_dict(file, out, overwrite=overwrite)
    progress.say(f"Recognised {recognised.name}. Wrote {out}.")
    progress.say(f"Start from it: whisker train photos --pretrained {shlex.quote(str(out))}")
