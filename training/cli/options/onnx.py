"""Options of `whisker import` that describe an ONNX classifier, and how they are completed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from whisker.model.errors import ConfigError

if TYPE_CHECKING:
    from whisker.model import Preprocessing

_PANEL = "ONNX classifiers"
_CROP_FRACTION = 0.875  # 224 of 256 pixels, as most ImageNet classifiers were measured

ClassNames = Annotated[
    Path | None,
    typer.Option(
        help="Text file with the name of a class on each line, in the order of the outputs.",
        metavar="FILE",
        rich_help_panel=_PANEL,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(help="Side in pixels of the pictures that the graph takes.", metavar="N", rich_help_panel=_PANEL),
]
Mean = Annotated[
    tuple[float, float, float],
    typer.Option(
        help="Subtracted from the channels, on the scale of --range and in the order of --channels.",
        metavar="A B C",
        rich_help_panel=_PANEL,
    ),
]
Std = Annotated[
    tuple[float, float, float],
    typer.Option(help="What the channels are then divided by.", metavar="A B C", rich_help_panel=_PANEL),
]
LayoutOption = Annotated[
    Literal["NCHW", "NHWC"],
    typer.Option(help="Of the input: as in PyTorch, or as in TensorFlow.", rich_help_panel=_PANEL),
]
ChannelsOption = Annotated[
    Literal["rgb", "bgr"], typer.Option(help="Order of the input's channels.", rich_help_panel=_PANEL)
]
RangeOption = Annotated[
    Literal["0..1", "0..255"],
    typer.Option("--range", help="Black and white, before --mean and --std.", rich_help_panel=_PANEL),
]
ResizeOption = Annotated[
    Literal["squash", "crop"],
    typer.Option(
        help="How photos become square: all of it squashed, or the middle cropped out.", rich_help_panel=_PANEL
    ),
]
CropFraction = Annotated[
    float | None,
    typer.Option(
        help=f"Part of the shorter side that --resize crop keeps (default: {_CROP_FRACTION}, as 224 of 256 pixels).",
        metavar="SHARE",
        rich_help_panel=_PANEL,
    ),
]
ResampleOption = Annotated[
    Literal["bilinear", "bicubic"], typer.Option(help="Filter that photos are scaled with.", rich_help_panel=_PANEL)
]
OutputsOption = Annotated[
    Literal["logits", "probabilities"], typer.Option(help="What the graph answers with.", rich_help_panel=_PANEL)
]


def required(labels: Path | None, size: int | None, file: Path) -> tuple[Path, int]:
    """Require what an ONNX file does not say; raise `ConfigError`."""
    if labels is None:
        raise ConfigError(f"{file} does not name its classes: give a file with a name on each line with --labels.")
    if size is None:
        raise ConfigError(f"{file} does not say how photos are prepared: give the side in pixels with --size.")
    return labels, size


def preprocessing_of(
    size: int, resize: Literal["squash", "crop"], crop_fraction: float | None, resample: Literal["bilinear", "bicubic"]
) -> "Preprocessing":
    """Join the options on preprocessing; raise `ConfigError` if they contradict each other."""
    from whisker.model import Preprocessing  # noqa: PLC0415

    if resize == "squash":
        if crop_fraction is not None:
            raise ConfigError("--crop-fraction is for --resize crop.")
        return Preprocessing(size, "squash", resample)
    fraction = _CROP_FRACTION if crop_fraction is None else crop_fraction
    return Preprocessing(size, "crop", resample, crop_fraction=fraction)
