"""The folder that a source's files are written into: nothing lands outside it, and no file replaces another."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from whisker.model.plain_text import printable
from whisker.training.errors import DatasetError, TrainingError

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_NAME = 240  # bytes of a name: file systems take 255, and a number may have to be added
_MAX_DEPTH = 64  # folders in each other
_MIN_BYTES = 4_096  # that a file takes on a disk, however small it is
FREE_BYTES = 1_000_000_000  # that anything may be unpacked to
_MAX_RATIO = 100  # of unpacked to packed bytes, beyond that: photos hardly shrink
_DRIVE = re.compile(r"[A-Za-z]:")


class Destination:
    """Writes files of `source` below `root`, with the source's time of change, so that caches know them again."""

    def __init__(self, root: Path, source: Path, *, packed: int, stamp: int) -> None:
        self.root, self.renamed = root, list[str]()
        self._source, self._stamp = source, stamp
        self._max_bytes = max(FREE_BYTES, _MAX_RATIO * packed)
        self._bytes = 0
        self._folders = {""}
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
        wanted = "/".join(_parts(path) or ())
        descriptor, written = self._create(folder, name)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            self._count(_MIN_BYTES)
            for chunk in chunks:
                self._count(len(chunk))
                try:
                    file.write(chunk)
                except OSError as exc:
                    raise self.unwritable(exc) from exc
            os.utime(file.fileno(), ns=(self._stamp, self._stamp))
        if written != wanted:
            self.renamed.append(written)
        return written

    def link(self, path: str, target: str) -> bool:
        """Give the file `target`, a path in the folder, another path; return whether there is such a file."""
        parts = _parts(target)
        if parts is None or not (self.root / "/".join(parts)).is_file():
            return False
        folder, name = self._place(path)
        file, link = self.root / "/".join(parts), self.root / folder / name
        try:
            os.link(file, link, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            shutil.copy2(file, link)
        return True

    def _place(self, path: str) -> tuple[str, str]:
        """Make the folder of a path, and give both; raise `DatasetError` for a path that leads out of the root."""
        parts = _parts(path)
        if parts is None:
            raise DatasetError(
                f"{self._source} holds a file whose path leads out of it, {printable(path)!r}, so that none was "
                "unpacked: do not trust it."
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

    def _create(self, folder: str, name: str) -> tuple[int, str]:
        """Create a file that is not there yet, with a number in its name if one of that name is."""
        path, number = PurePosixPath(folder, name), 1
        while True:
            try:
                return os.open(self.root / path, _FLAGS, 0o666), str(path)
            except FileExistsError:
                number += 1
                path = PurePosixPath(folder, _numbered(name, number))
            except OSError as exc:
                raise self.unwritable(exc) from exc

    def _count(self, count: int) -> None:
        self._bytes += count
        self._require_plausible(self._bytes)

    def _require_plausible(self, count: int) -> None:
        if count > self._max_bytes:
            raise DatasetError(
                f"{self._source} unpacks to more than {_MAX_RATIO} times its size, as a zip bomb does, so it was not "
                "unpacked: if you trust it, unpack it yourself and give the folder."
            )

    def unwritable(self, exc: OSError) -> TrainingError:
        """Make the error of a disk that takes no more."""
        return TrainingError(f"{self._source} cannot be unpacked to {self.root.parent}: {exc.strerror}.")


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
