"""The files of a folder, at any depth: links are followed, but not in circles, and none is lost in silence."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from whisker.model.plain_text import printable
from whisker.training.data.folders.names import is_named_as_picture, is_skipped
from whisker.training.errors import DatasetError

_LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class Walk:
    """What was found, as paths relative to the folder: files, and which of these are links to nothing.

    `circles` are links to a folder that they lie in. They are not followed.
    """

    files: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    circles: list[str] = field(default_factory=list)

    @property
    def has_pictures(self) -> bool:
        """Tell whether a file is named as pictures are."""
        return any(map(is_named_as_picture, self.files))


def walk(root: Path) -> Walk:
    """Find the files in `root`, but what `is_skipped`; links to nothing are files, and so are pipes and devices.

    Each folder is searched once, whatever links lead to it, and under its own path if it has one in `root`. Raises
    `DatasetError` for a folder that cannot be read.
    """
    found, links = Walk(), list[str]()
    real = root.resolve()
    around = {_identity(folder) for folder in (real, *real.parents)}
    seen = set(around)
    pending = [""]
    while pending or links:
        path = pending.pop() if pending else links.pop(0)
        identity = _identity(root / path)
        if path and identity in around:
            found.circles.append(path.removesuffix("/"))
            continue
        if path and identity in seen:
            continue
        seen.add(identity)
        for entry in _entries(root, path):
            _sort(entry, path, found, pending, links)
    return found


def list_files(root: Path) -> list[str]:
    """List the files in `root`, sorted; raise `DatasetError` for a folder that cannot be read."""
    return sorted(walk(root).files)


def unreadable(folder: Path, exc: OSError) -> DatasetError:
    """Make the error of a folder that cannot be read."""
    return DatasetError(f"The folder {printable(str(exc.filename or folder))} cannot be read: {exc.strerror}.")


def leads_nowhere(path: Path) -> bool:
    """Tell whether a path is a link to nothing, or to itself."""
    try:
        path.stat()
    except OSError as exc:
        return exc.errno in _LEADS_NOWHERE and path.is_symlink()
    return False


def _entries(root: Path, path: str) -> "Iterator[os.DirEntry[str]]":
    try:
        with os.scandir(root / path) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as exc:
        raise unreadable(root / path, exc) from exc


def _sort(entry: "os.DirEntry[str]", folder: str, found: Walk, pending: list[str], links: list[str]) -> None:
    """Put an entry where it belongs: to the files, or to the folders that are searched now, or after them."""
    if is_skipped(entry.name):
        return
    path = folder + entry.name
    if entry.is_dir(follow_symlinks=False):
        pending.append(path + "/")
    elif entry.is_symlink() and leads_to_folder(entry):
        links.append(path + "/")
    else:
        found.files.append(path)
        if entry.is_symlink() and leads_nowhere(Path(entry.path)):
            found.dead.append(path)


def leads_to_folder(link: "os.DirEntry[str]") -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return link.is_dir()
    except OSError:  # it leads to itself, or where nobody may look
        return False


def _identity(folder: Path) -> _Identity:
    try:
        stat = folder.stat()
    except OSError as exc:
        raise unreadable(folder, exc) from exc
    return stat.st_dev, stat.st_ino
