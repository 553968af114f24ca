"""The photos that arguments name: files as they are given, folders searched."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to classify: its path, and the printable name that results give it."""

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
        passed_over = {os.path.relpath(file.resolve(), argument.resolve()) for file in leave_out}
        for path in _walk(root):
            if path not in passed_over:
                whole = f"{root}/{path}"
                yield Photo(whole, printable(path if relative else whole))


def count_photos(arguments: Sequence[Path]) -> int:
    """Count what `find_photos` lists, but for what it leaves out; much faster, and without a list in memory."""
    files = 0
    for root in map(str, arguments):
        folders = [""] if os.path.isdir(root) else []  # noqa: PTH112 - as above
        files += not folders
        while folders:
            folder = folders.pop()
            try:
                for path in _entries(root, folder):
                    if path.endswith("/"):
                        folders.append(path)
                    else:
                        files += 1
            except OSError:
                files += 1  # listed as a photo that cannot be read
    return files


def printable(path: str) -> str:
    r"""Write what cannot be printed, such as a line break or what is not UTF-8, as in Python: `\n`, `\udcff`."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def _walk(root: str) -> Iterator[str]:
    """List files by paths relative to `root`; a folder that cannot be searched is listed with a slash at its end."""
    pending = [""]  # sorted, the next one last; folders end with a slash, so that they sort as the paths in them do
    while pending:
        path = pending.pop()
        if path and not path.endswith("/"):
            yield path
            continue
        try:
            pending += sorted(_entries(root, path), reverse=True)
        except OSError:
            yield path or "."


def _entries(root: str, folder: str) -> Iterator[str]:
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield f"{folder}{entry.name}/"
            elif entry.is_file() or not os.path.exists(entry):  # noqa: PTH110 - a link to nothing is an error to report
                yield f"{folder}{entry.name}"
