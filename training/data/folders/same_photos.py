"""Which paths lead to the same photo: to one file, by links, or to equal bytes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo


def same_photos(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Map each path, relative to `root`, to the first of `paths` that leads to the same photo: often itself.

    Files that are no pictures, or cannot be read, are the same only if they are one file.
    """
    first_of_file: dict[object, str] = {}
    linked: dict[str, str] = {}  # each path to the first that leads to the same file
    by_size: dict[int, list[str]] = {}
    for path in paths:
        file, size = _identify(root / path)
        linked[path] = first_of_file.setdefault(file, path)
        if linked[path] == path:
            by_size.setdefault(size, []).append(path)
    copied: dict[str, str] = {}
    for equal in by_size.values():
        if len(equal) > 1:  # others need not be read
            copied |= _first_of_bytes(root, equal)
    return {path: copied.get(first, first) for path, first in linked.items()}


def _identify(file: Path) -> tuple[object, int]:
    """Give what is equal for all links to a file, and its size; a link to nothing is a file of its own."""
    try:
        stat = file.stat()
    except OSError:
        return file, -1
    return (stat.st_dev, stat.st_ino), stat.st_size


def _first_of_bytes(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Map each path to the first with the same bytes."""
    first: dict[object, str] = {}
    return {path: first.setdefault(_digest(root / path), path) for path in paths}


def _digest(file: Path) -> object:
    """Hash a picture's bytes; give what nothing else equals for a file that is none."""
    try:
        data = read_photo(file)
    except (OSError, PictureError):
        data = b""
    return hashlib.sha256(data).digest() if data else file
