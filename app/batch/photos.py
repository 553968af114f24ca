"""The photos that arguments name: files as given, and the files in folders."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whisker.model.photo_files import scan_folder, walk_files
from whisker.model.plain_text import printable


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to classify: its path, and its printable name in results."""

    path: str
    name: str


def find_photos(
    arguments: Sequence[Path], *, relative: bool = False, leave_out: Sequence[Path] = ()
) -> Iterator[Photo]:
    """List the files given and, in the order of their sorted paths, those at any depth in the folders given.

    Hidden files and folders are passed over, and so are links to folders, which may lead in circles. Names are paths,
    in folders `relative` to them if asked. Memory is needed for one folder's names at a time.
    """
    for argument in arguments:
        root = str(argument)
        if not os.path.isdir(root):  # noqa: PTH112 - strings all through: millions of `Path` take minutes
            yield Photo(root, printable(root))
            continue
        passed_over = {os.path.relpath(os.path.realpath(file), os.path.realpath(root)) for file in leave_out}
        for path in walk_files(root):
            if path not in passed_over:
                whole = f"{root}/{path}"
                yield Photo(whole, printable(path if relative else whole))


def count_photos(arguments: Sequence[Path]) -> int:
    """Count what `find_photos` lists, and what it leaves out: much faster, and without a list in memory."""
    files = 0
    for root in map(str, arguments):
        folders = [""] if os.path.isdir(root) else []  # noqa: PTH112 - as above
        files += not folders
        while folders:
            folder = folders.pop()
            try:
                for path in scan_folder(root, folder):
                    if path.endswith("/"):
                        folders.append(path)
                    else:
                        files += 1
            except OSError:
                files += 1  # listed as a photo that cannot be read
    return files
