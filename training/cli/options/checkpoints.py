"""How commands are told a checkpoint: as the first argument, or with `--checkpoint`."""

from pathlib import Path
from typing import Annotated

import typer

from whisker.model.errors import ConfigError
from whisker.training.cli.options.arguments import PHOTOS

First = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint, as `whisker train` wrote it; leave it out where --checkpoint names it.",
        metavar="CHECKPOINT",
        show_default=False,
    ),
]
Second = Annotated[
    Path | None,
    typer.Argument(help=f"{PHOTOS}.", metavar="DIR", show_default=False),
]
CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", help="The same as CHECKPOINT.", metavar="FILE", show_default=False)
]


def checkpoint_alone(first: Path | None, option: Path | None) -> Path:
    """Give the checkpoint of a command without a folder; raise `ConfigError` unless it is named once."""
    if first is not None and option is not None:
        raise ConfigError(_twice(first, option))
    checkpoint = first or option
    if checkpoint is None:
        raise ConfigError("Name a checkpoint: a file that `whisker train` wrote, such as photos.safetensors.")
    return checkpoint


def checkpoint_and_folder(first: Path | None, second: Path | None, option: Path | None) -> tuple[Path, Path]:
    """Give checkpoint and folder: two arguments, or one beside `--checkpoint`; raise `ConfigError` for others."""
    checkpoint, folder = checkpoint_if_any(first, second, option)
    if checkpoint is None:
        raise ConfigError(f"Name a checkpoint and a folder of photos; {first} is only one of them.")
    return checkpoint, folder


def checkpoint_if_any(first: Path | None, second: Path | None, option: Path | None) -> tuple[Path | None, Path]:
    """Give the folder, and the checkpoint if one is named; raise `ConfigError` as `checkpoint_and_folder` does."""
    if first is None:
        raise ConfigError("Name a folder of photos.")
    if second is None:
        return option, first
    if option is not None:
        raise ConfigError(_twice(first, option))
    return first, second


def _twice(first: Path, option: Path) -> str:
    return f"The checkpoint is given twice, as {first} and as --checkpoint {option}: give it once."
