"""Arguments that several of the commands have, and what they all do with them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from whisker.app.errors import RepositoryError
from whisker.app.repository.commands.wording import describe, describe_change
from whisker.app.repository.folder import VersionFile, find_versions
from whisker.app.repository.rollout import Rollout
from whisker.app.repository.rollout_file import change_rollout, read_rollout
from whisker.model.plain_text import printable

Model = Annotated[
    Path,
    typer.Argument(metavar="DIR/NAME", help="Folder of the model, in the folder of models.", show_default=False),
]
Version = Annotated[
    str, typer.Argument(metavar="VERSION", help="Name of its file, without .safetensors.", show_default=False)
]
Step = Callable[[Sequence[VersionFile], Rollout], Rollout]


def take_step(model: Path, step: Step) -> None:
    """Change what is served of a model, and say what is now, and what a running service does about it."""
    versions = find_versions(model)
    if not versions:
        raise RepositoryError(f"There is no version in {model}: give the folder of a model, as in models/cats.")
    before = read_rollout(model)
    after = change_rollout(model, lambda it: step(versions, it))
    say(model, describe((versions, after)), describe_change((versions, before), (versions, after)))


def say(model: Path, *sentences: str) -> None:
    """Print sentences about a model."""
    typer.echo(printable(f"{model.resolve().name}: {' '.join(filter(None, sentences))}"))
