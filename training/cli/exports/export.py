"""The command `whisker export`. Modules that are slow to import are imported when it runs."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisker.training.cli.exports.comparing import OwnPhotos, compare_on
from whisker.training.cli.options.arguments import AsJson
from whisker.training.cli.options.checkpoints import CheckpointOption, First, checkpoint_alone
from whisker.training.cli.result import open_progress

if TYPE_CHECKING:
    from whisker.model.export.photos import PhotoComparison
    from whisker.model.export.runtimes.base import ExportedFile


def export(
    first: First = None,
    *,
    to: Annotated[str, typer.Option(help="Format: onnx, openvino, torch or litert.", metavar="FORMAT")],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .onnx, .xml (with a .bin beside it) for openvino, .pt2 for torch, .tflite for litert.",
            metavar="FILE",
        ),
    ],
    checkpoint: CheckpointOption = None,
    resize: Annotated[
        bool,
        typer.Option(
            "--resize/--no-resize",
            help="Whether the file takes pictures of any size. Without, they have the network's size; so they always "
            "do for litert.",
        ),
    ] = True,
    photos: OwnPhotos = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export a checkpoint for another runtime, once the file has answered there as the checkpoint does.

    Golden pictures are replayed from their encoded bytes. No file is written if a probability, or an unknown score,
    differs by more than 0.0005 for pixels of the network's size, or by more than 0.02 for pictures resized in the file.
    """
    from whisker.model import load_checkpoint  # noqa: PLC0415
    from whisker.model.engines.device import use_available_cores  # noqa: PLC0415
    from whisker.model.export.exporter import export_checkpoint  # noqa: PLC0415
    from whisker.model.export.formats import format_named  # noqa: PLC0415

    progress, kind = open_progress(as_json=as_json), format_named(to)
    use_available_cores()
    source = load_checkpoint(checkpoint_alone(first, checkpoint))
    compared: list[PhotoComparison] = []

    def compare(file: "ExportedFile") -> None:
        if photos is not None:
            compared.append(compare_on(photos, file, source, progress))

    progress.say(f"Exporting {source.name} for {kind.title} ...")
    found = export_checkpoint(source, kind, out, resize=resize, overwrite=overwrite, check=compare)
    if as_json:
        on_photos = compared[0].to_json() if compared else None
        typer.echo(json.dumps({"file": str(out), **dataclasses.asdict(found), "photos": on_photos}))
        return
    progress.say(f"{found.describe()} Wrote {out}.")
