"""The example photos on the page: files of the operator, which everybody may see."""

import os
from pathlib import Path

from whisker.model.errors import ConfigError
from whisker.model.photo_files import is_picture
from whisker.model.plain_text import printable

EXAMPLE_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_MAX_EXAMPLES = 24


def find_examples(folder: Path | None) -> list[Path]:
    """List the example photos, by name; what is no regular file is passed over.

    Raises `ConfigError` for a folder that cannot be read, and for a link that leads out of it.
    """
    if folder is None:
        return []
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() in EXAMPLE_TYPES and os.path.isfile(path)]  # noqa: PTH113 - `is_file` raises for a folder that may not be entered
    except OSError as exc:
        raise ConfigError(f"The folder of examples {folder} cannot be read: {exc.strerror}.") from exc
    examples = sorted(files)[:_MAX_EXAMPLES]
    for path in examples:
        if not _is_inside(path):
            raise ConfigError(
                f"The example {printable(str(path))} is a link that leads out of its folder, and would show everybody "
                "what is there: put the photo itself there."
            )
    return examples


def real_example(path: Path) -> Path | None:
    """Follow the links to an example, each time anew; `None` if it is no picture in its folder any more."""
    real = Path(os.path.realpath(path))
    return real if _is_inside(path) and is_picture(real) else None


def _is_inside(path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent))
