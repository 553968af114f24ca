"""The command `whisker verify`. Modules that are slow to import are imported when it runs."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisker.model.errors import ConfigError, ExportError
from whisker.training.cli.exports.comparing import OwnPhotos, compare_on
from whisker.training.cli.options.arguments import AsJson
from whisker.training.cli.result import open_progress

if TYPE_CHECKING:
    from whisker.model import Checkpoint
    from whisker.model.export.runtimes.base import ExportedFile


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            help="File that `whisker export` wrote. Only a trusted .pt2: PyTorch may run code in it.",
            metavar="FILE",
        ),
    ],
    *,
    photos: OwnPhotos = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Checkpoint of the file, to compare with on --photos.", metavar="CHECKPOINT"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify an exported file here: replay its golden pictures in its own runtime.

    Exit codes: 0 if the answers are the checkpoint's, 1 if one differs by more than the bounds of `whisker export`, or
    if the file cannot be used.
    """
    from whisker.model.export.replay import replay  # noqa: PLC0415
    from whisker.model.export.runtimes.opening import open_export  # noqa: PLC0415

    if (photos is None) != (checkpoint is None):
        raise ConfigError(
            "--photos and --checkpoint belong together: give the photos, and the checkpoint to compare with."
        )
    progress, opened = open_progress(as_json=as_json), open_export(file)
    try:
        found = replay(opened)
    except ExportError as exc:
        raise ExportError(f"{file} {exc}.") from exc
    compared = None
    if photos is not None and checkpoint is not None:
        compared = compare_on(photos, opened, _load(checkpoint, opened), progress)
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(found), "photos": compared and compared.to_json()}))
        return
    progress.say(found.describe())


def _load(path: Path, file: "ExportedFile") -> "Checkpoint":
    """Load the checkpoint that a file was exported from; raise `ConfigError` for another one."""
    from whisker.model import load_checkpoint  # noqa: PLC0415

    checkpoint = load_checkpoint(path)
    if checkpoint.sha256 != file.manifest.sha256:
        raise ConfigError(f"The file was not exported from {path}, but from {file.manifest.name}, another checkpoint.")
    return checkpoint
