"""The names of an imported classifier's classes, one a line, in the order of its outputs."""

from pathlib import Path

from whisker.model.plain_text import is_safe
from whisker.model.regular_file import read_regular
from whisker.training.errors import TrainingError

_MAX_BYTES = 10_000_000


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read a text file of names; empty lines at its end do not count.

    Raises `TrainingError` for a file that is not text, and for names that are empty, unprintable or there twice.
    """
    try:
        text = read_regular(path, max_bytes=_MAX_BYTES).decode("utf-8-sig")
    except OSError as exc:
        raise TrainingError(f"The names of the classes cannot be read from {path}: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise TrainingError(f"{path} is not text in UTF-8: give a file with the name of a class on each line.") from exc
    names = [line.strip() for line in text.rstrip().split("\n")]
    if len(names) < 2:
        raise TrainingError(f"{path} names fewer than two classes: give a file with the name of a class on each line.")
    lines: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name or not is_safe(name):
            raise TrainingError(f"Line {number} of {path} is {'not printable' if name else 'empty'}: name each class.")
        if name in lines:
            raise TrainingError(
                f"Lines {lines[name]} and {number} of {path} are both {name!r}: give each class a name of its own."
            )
        lines[name] = number
    return tuple(names)
