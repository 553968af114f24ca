"""The example photos on the page: files of the operator, which everybody may see."""

import functools
import os
from pathlib import Path

from whisker.model.errors import ConfigError, PictureTooLargeError, UnsupportedFormatError
from whisker.model.photo_files import read_photo
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


def read_example(path: Path) -> bytes | None:
    """Read an example, or `None` if it is no picture in its folder any more; all who ask share one copy."""
    real = Path(os.path.realpath(path))
    try:
        status = real.stat()
        return _read(real, status.st_mtime_ns, status.st_size) if _is_inside(path) else None
    except (OSError, UnsupportedFormatError, PictureTooLargeError):
        return None


@functools.lru_cache(maxsize=_MAX_EXAMPLES)
def _read(path: Path, modified_ns: int, size: int) -> bytes:
    """Read a file that was modified at that moment and has that size."""
    del modified_ns, size  # another version of the file is read anew
    return read_photo(path)


def _is_inside(path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent))
