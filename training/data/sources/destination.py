"""The folder that a source's files are written into: nothing lands outside it, and no file replaces another."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from whisker.model.plain_text import printable
from whisker.training.errors import DatasetError, TrainingError

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_NAME = 240  # bytes of a name: file systems take 255, and a number may have to be added
_MAX_DEPTH = 64  # folders in each other
_MIN_BYTES = 4_096  # that a file takes on a disk, however small it is
FREE_BYTES = 1_000_000_000  # that anything may be unpacked to
_MAX_RATIO = 100  # of unpacked to packed bytes, beyond that: photos hardly shrink
_DRIVE = re.compile(r"[A-Za-z]:")
_T = TypeVar("_T")


class Destination:
    """Writes files of `source` below `root`, with the source's time of change, so that caches know them again."""

    def __init__(self, root: Path, source: Path, *, packed: int, stamp: int) -> None:
        self.root, self.renamed = root, list[str]()
        self._source, self._stamp = source, stamp
        self._max_bytes = most_bytes(packed)
        self._bytes = 0
        self._folders = {""}
        self._numbers: dict[tuple[str, str], int] = {}  # the last ones that were added to names that were taken
        root.mkdir(parents=True)

    def require_bytes(self, announced: int) -> None:
        """Refuse a source that announces more than may be unpacked, or more than the disk has room for."""
        self._require_plausible(announced)
        require_space(self.root, announced, self._source)

    def write(self, path: str, chunks: Iterable[bytes]) -> str:
        """Write a file, and return its path in the folder: another one if the name is taken, or too long.

        Raises `DatasetError` for a path that leads out, or for too many bytes, and `TrainingError` if the disk is full.
        """
        folder, name = self._place(path)
        descriptor, written = self._create(folder, name, lambda file: os.open(file, _FLAGS, 0o666))
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            self._count(_MIN_BYTES)
            for chunk in chunks:
                self._count(len(chunk))
                try:
                    file.write(chunk)
                except OSError as exc:
                    raise self.unwritable(exc) from exc
            os.utime(file.fileno(), ns=(self._stamp, self._stamp))
        self._note_renamed(path, written)
        return written

    def count_link(self) -> None:
        """Count a link, which takes memory even if it leads nowhere; raise `DatasetError` for too many."""
        self._count(_MIN_BYTES)

    def link(self, path: str, target: str) -> bool:
        """Give the file `target`, a path in the folder, another path; return whether there is such a file."""
        file = self._found(target)
        if file is None:
            return False
        folder, name = self._place(path)
        if self.root / folder / name != file:  # as tar stores a file that is named twice
            _, written = self._create(folder, name, lambda link: _link(file, link))
            self._note_renamed(path, written)
        return True

    def _found(self, path: str) -> Path | None:
        """Find a file that was written, by the path that it had in the source."""
        *folders, name = _parts(path) or [""]
        file = self.root / "/".join([*folders, _shortened(name)])
        try:
            return file if file.is_file() else None
        except OSError:  # a folder's name that is too long
            return None

    def _note_renamed(self, path: str, written: str) -> None:
        if written != "/".join(_parts(path) or ()):
            self.renamed.append(written)

    def _place(self, path: str) -> tuple[str, str]:
        """Make the folder of a path, and give both; raise `DatasetError` for a path that leads out of the root."""
        parts = _parts(path)
        if parts is None:
            raise DatasetError(
                f"{self._source} holds a file whose path leads out of it, {printable(path)!r}, so nothing "
                "was unpacked: do not trust it."
            )
        *folders, name = parts
        long = next((folder for folder in folders if len(os.fsencode(folder)) > _MAX_NAME), None)
        if long is not None or len(folders) > _MAX_DEPTH:
            raise DatasetError(
                f"{self._source} holds folders whose names are too long, or too many of them in each other: "
                f"{printable(path[:80])}...; nothing was unpacked."
            )
        folder = "/".join(folders)
        self._make(folder, path)
        return folder, _shortened(name)

    def _make(self, folder: str, path: str) -> None:
        if folder in self._folders:
            return
        try:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise DatasetError(
                f"{self._source} holds a file and a folder of the same name in the path {printable(path)!r}: nothing "
                "was unpacked."
            ) from exc
        except OSError as exc:
            raise self.unwritable(exc) from exc
        self._folders.add(folder)

    def _create(self, folder: str, name: str, make: Callable[[Path], _T]) -> tuple[_T, str]:
        """Make a file that is not there yet, with a number in its name if one of that name is; return its path, too."""
        number = self._numbers.get((folder, name), 1)
        while True:
            path = PurePosixPath(folder, name if number == 1 else _numbered(name, number))
            try:
                return make(self.root / path), str(path)
            except FileExistsError:
                number += 1
                self._numbers[folder, name] = number
            except OSError as exc:
                raise self.unwritable(exc) from exc

    def _count(self, count: int) -> None:
        self._bytes += count
        self._require_plausible(self._bytes)

    def _require_plausible(self, count: int) -> None:
        if count > self._max_bytes:
            raise too_many_bytes(self._source)

    def unwritable(self, exc: OSError) -> TrainingError:
        """Make the error of a disk that takes no more."""
        return TrainingError(f"{self._source} cannot be unpacked to {self.root.parent}: {exc.strerror}.")


def most_bytes(packed: int) -> int:
    """Give the number of bytes that a source of `packed` bytes may unpack to."""
    return max(FREE_BYTES, _MAX_RATIO * packed)


def too_many_bytes(source: Path) -> DatasetError:
    """Make the error of a source that unpacks to more."""
    return DatasetError(
        f"{source} unpacks to more than {_MAX_RATIO} times its size, as a zip bomb does, so it was not unpacked: "
        "if you trust it, unpack it yourself and give the folder."
    )


def require_space(folder: Path, needed: int, source: Path) -> None:
    """Refuse to unpack what the disk of a folder has no room for."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise TrainingError(
            f"{source} unpacks to {in_words(needed)}, and the disk of {folder.resolve()} has {in_words(free)} free: "
            "make room, or work on another disk (`whisker train --out`, or run the command in a folder there)."
        )


def in_words(count: int) -> str:
    """Write a number of bytes for people."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _parts(path: str) -> list[str] | None:
    """Split a path; `None` if it leads out of the folder that it is relative to."""
    if path.startswith("/") or _DRIVE.match(path) or "\0" in path:
        return None
    parts = [part for part in path.split("/") if part not in {"", "."}]
    return parts if parts and ".." not in parts else None


def _link(file: Path, link: Path) -> None:
    try:
        os.link(file, link, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        shutil.copy2(file, link)


def _shortened(name: str) -> str:
    """Shorten a name that no file system takes, so that it stays one of a kind."""
    data = os.fsencode(name)
    if len(data) <= _MAX_NAME:
        return name
    ending = PurePosixPath(name).suffix
    ending = ending if len(ending) < 10 else ""
    kept = data[:100].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(data).hexdigest()[:16]}{ending}"


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return f"{path.stem}-{number}{path.suffix}"
