"""The command `whisker import`. Modules that are slow to import are imported when it runs."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from whisker.training.cli.result import open_progress


def import_weights(
    file: Annotated[
        Path, typer.Argument(help="State dict saved by PyTorch, of a network that Whisker builds.", metavar="FILE")
    ],
    *,
    out: Annotated[Path, typer.Option(help="File to write; its name ends in .safetensors.", metavar="FILE")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of that name.")] = False,
) -> None:
    """Convert a PyTorch file of weights for --pretrained, without executing anything in it."""
    from whisker.training.pretrained.state_dicts import convert_state_dict  # noqa: PLC0415

    progress = open_progress(as_json=False)
    recognised = convert_state_dict(file, out, overwrite=overwrite)
    progress.say(f"Recognised {recognised.name}. Wrote {out}.")
    progress.say(f"Start from it: whisker train photos --pretrained {shlex.quote(str(out))}")
