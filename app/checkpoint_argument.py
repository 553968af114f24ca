"""A checkpoint among the arguments of a command: `whisker predict photos.safetensors one.jpg`."""

from collections.abc import Sequence
from pathlib import Path

from whisker.model.errors import ConfigError

SUFFIX = ".safetensors"


def take_checkpoint(paths: Sequence[Path], option: str | None) -> tuple[str | None, list[Path]]:
    """Give the checkpoint, which an argument or the option names, and the other arguments.

    An argument is one if its name ends as those of checkpoints do. Raises `ConfigError` if several name one.
    """
    named = [path for path in paths if path.suffix == SUFFIX and not path.is_dir()]
    given = [*map(str, named), *(() if option is None else (f"--checkpoint {option}",))]
    if len(given) > 1:
        raise ConfigError(f"The checkpoint is given twice, as {given[0]} and as {given[1]}: give it once.")
    return str(named[0]) if named else option, [path for path in paths if path not in named]
