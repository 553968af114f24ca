"""The folder of prepared classifiers: found by what they were prepared for, written whole, and few.

A file counts only if it belongs to the user who asks and nobody else may write it: whoever could forge it could as well
change the programs of that user. What is wrong with a file is logged, and is no error: its checkpoint is loaded then.
"""

import logging
import mmap
import os
import re
import stat
import time
import weakref
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from whisker.model.atomic_write import atomic_write
from whisker.model.card.document import CheckpointCard
from whisker.model.errors import PreparedError
from whisker.model.prepared.container import MAX_BYTES, check, read_document
from whisker.model.prepared.key import PreparedFor, environment_key, file_name
from whisker.model.regular_file import open_regular

SUFFIX = ".prepared"
MAX_FILES = 16  # in the folder; those that were not used for longest go
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}\.prepared")
_UNFINISHED = re.compile(r"\.[0-9a-f-]+\.prepared\.[0-9a-f]+\.unfinished")
_UNFINISHED_SECONDS = 3600.0  # after which whoever wrote it has ended
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

logger = logging.getLogger(__name__)


class PreparedFile:
    """A prepared classifier that was found, and stays as it is while this is kept, whatever becomes of its name."""

    def __init__(self, path: Path, card: CheckpointCard, descriptor: int) -> None:
        """Own the descriptor of the open file."""
        self.path, self.card = path, card
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor).atexit = False

    @property
    def source(self) -> Path | bytes:
        """Give what another process of this user opens it by: a path, or its content where there is none that lasts."""
        lasting = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")
        return lasting if lasting.exists() else self.path.read_bytes()


class PreparedCache:
    """A folder of prepared classifiers, which is made when the first one is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refused: set[Path] = set()
        self._has_told = False

    def find(self, asked: PreparedFor) -> PreparedFile | None:
        """Find what was prepared; `None` if there is nothing, or nothing that can be used."""
        path = self._path(asked)
        if path in self._refused:
            return None
        try:
            file = open_regular(path)
        except FileNotFoundError:
            return None
        except OSError as exc:
            self._tell("cannot be read", path, exc)
            return None
        with file:
            try:
                card = _checked(file, asked.sha256)
            except (PreparedError, OSError, ValueError) as exc:
                self.refuse(path, str(exc))
                return None
            found = PreparedFile(path, card, os.dup(file.fileno()))
        try:
            os.utime(path)  # it was used
        except OSError:
            logger.debug("The time of a prepared classifier stays as it is", extra={"path": str(path)})
        return found

    def keep(self, asked: PreparedFor, content: bytes) -> None:
        """Write what was prepared, in place of what was for the same settings in another environment."""
        path = self._path(asked)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_bytes(content)
            self._refused.discard(path)
            self._tidy(path)
        except OSError as exc:
            self._tell("cannot be kept", path, exc)

    def refuse(self, path: Path, reason: str) -> None:
        """Use a file no more, and remove it; `reason` is logged."""
        logger.warning("A prepared classifier cannot be used", extra={"path": str(path), "reason": reason})
        self._refused.add(path)
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            self._tell("cannot be removed", path, exc)

    def _path(self, asked: PreparedFor) -> Path:
        return self._folder / f"{file_name(asked, self._environment)}{SUFFIX}"

    @cached_property
    def _environment(self) -> str:
        return environment_key()

    def _tidy(self, written: Path) -> None:
        """Remove what another environment left, what was not used for long, and what was never finished."""
        alike = written.name.rpartition("-")[0]
        ages = dict[Path, float]()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                if _UNFINISHED.fullmatch(entry.name) and entry.stat().st_mtime < time.time() - _UNFINISHED_SECONDS:
                    path.unlink(missing_ok=True)
                elif _NAME.fullmatch(entry.name) and path != written:
                    ages[path] = entry.stat().st_mtime
        newest = sorted(ages, key=lambda path: ages[path], reverse=True)
        for index, path in enumerate(newest):
            if path.name.startswith(f"{alike}-") or index >= MAX_FILES - 1:
                path.unlink(missing_ok=True)

    def _tell(self, what: str, path: Path, exc: OSError) -> None:
        """Log, once, that the folder does not work."""
        if not self._has_told:
            self._has_told = True
            logger.info("A prepared classifier %s", what, extra={"path": str(path), "reason": exc.strerror or str(exc)})


def _checked(file: BufferedReader, sha256: str) -> CheckpointCard:
    """Check a file as a whole, and give the card in it; raise `PreparedError`, `OSError`, or `ValueError` if empty."""
    status = os.fstat(file.fileno())
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        raise PreparedError("belongs to somebody else, or others may write it")
    if status.st_size > MAX_BYTES:
        raise PreparedError("is too large")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
        check(view)
        document, _ = read_document(view)
    card: CheckpointCard | None = document.get("card")
    if not isinstance(card, dict) or card.get("sha256") != sha256:
        raise PreparedError("is of another checkpoint")
    return card
