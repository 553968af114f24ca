"""The folder of prepared classifiers: found by what they were prepared for, written whole, and few.

A file counts only if it belongs to the user who asks, and nobody else may write it or replace it in its folder: whoever
could forge it could as well change the programs of that user. What is wrong with a file is logged, and is no error: its
checkpoint is loaded then.
"""

import contextlib
import errno
import logging
import math
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
from whisker.model.prepared.key import PreparedFor, environment_key, file_name, gpus
from whisker.model.regular_file import open_regular

SUFFIX = ".prepared"
MAX_FOLDER_BYTES = 2_000_000_000  # of all files; those that were not used for longest go
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}\.prepared")
_UNFINISHED = re.compile(r"\.[0-9a-f-]+\.prepared\.[0-9a-f]+\.unfinished")
_UNFINISHED_SECONDS = 3600.0  # after which whoever wrote it has ended
_UNUSED_SECONDS = 7 * 86_400.0  # after which no machine with the same folder needs a file any more
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

logger = logging.getLogger(__name__)


class PreparedFile:
    """A prepared classifier that was found, and can be read while this is kept, whatever becomes of its name."""

    def __init__(self, path: Path, card: CheckpointCard, descriptor: int) -> None:
        """Own the descriptor of the open file."""
        self.path, self.card = path, card
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor).atexit = False

    @property
    def source(self) -> Path | bytes:
        """Give what another process of this user opens it by: a path, or its content where there is none that lasts."""
        lasting = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")
        return lasting if lasting.exists() else self.read()

    @property
    def size(self) -> int:
        """Count its bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self) -> bytes:
        """Give its content."""
        with mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) as content:
            return content[:]


class PreparedCache:
    """A folder of prepared classifiers, which is made when the first one is written."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_FOLDER_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._refused: set[Path] = set()
        self._has_told = False

    def find(self, asked: PreparedFor) -> PreparedFile | None:
        """Find what was prepared; `None` if there is nothing, or nothing that can be used."""
        path = self._path(asked)
        if path in self._refused:
            return None
        try:
            self._require_trusted()
            file = open_regular(path, follows_links=False)
        except FileNotFoundError:
            return None
        except OSError as exc:
            self._tell("cannot be read", path, exc)
            return None
        with file:
            try:
                card = _checked(file, asked.sha256)
            except (PreparedError, OSError) as exc:
                self.refuse(path, str(exc))
                return None
            with contextlib.suppress(OSError):
                os.utime(file.fileno())  # it was used
            return PreparedFile(path, card, os.dup(file.fileno()))

    def keep(self, asked: PreparedFor, content: bytes) -> None:
        """Write what was prepared, unless the next start may well choose otherwise."""
        if asked.device == "auto" and gpus() and read_document(content)[0]["card"]["device"] == "cpu":
            reason = "there is a GPU, which PyTorch did not use; with WHISKER_DEVICE=cpu it is kept"
            logger.info("A prepared classifier is not kept", extra={"reason": reason})
            return
        path = self._path(asked)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._require_trusted()
            with atomic_write(path) as temporary:
                # A new file, whoever may make links in the folder.
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
            self._refused.discard(path)
            self._tidy(path)
        except OSError as exc:
            self._tell("cannot be kept", path, exc)

    def refuse(self, path: Path, reason: str, *, remove: bool = True) -> None:
        """Use a file no more until it is written anew, and remove it; `reason` is logged."""
        logger.warning("A prepared classifier cannot be used", extra={"path": str(path), "reason": reason})
        self._refused.add(path)
        if not remove:
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            self._tell("cannot be removed", path, exc)

    def _path(self, asked: PreparedFor) -> Path:
        return self._folder / f"{file_name(asked, self._environment)}{SUFFIX}"

    @cached_property
    def _environment(self) -> str:
        return environment_key()

    def _require_trusted(self) -> None:
        """Raise `OSError` if others may replace files of the folder."""
        status = self._folder.stat()
        is_shared = status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in {0, os.geteuid()} or is_shared:
            reason = "its folder belongs to somebody else, or others may replace files in it: name another one"
            raise PermissionError(errno.EPERM, reason, str(self._folder))

    def _tidy(self, written: Path) -> None:
        """Remove what another environment left long ago, what was not used for longest, and what was never finished."""
        alike, now = written.name.rpartition("-")[0], time.time()
        found = list[tuple[float, Path, int]]()
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):  # another process tidies, too
                status = path.lstat()
                age = now - status.st_mtime
                if status.st_uid != os.geteuid():
                    continue
                if _UNFINISHED.fullmatch(path.name) and age > _UNFINISHED_SECONDS:
                    path.unlink()
                elif _NAME.fullmatch(path.name):
                    found.append((age if path != written else -math.inf, path, status.st_size))
        taken = 0
        for age, path, size in sorted(found):
            taken += size
            is_old = path.name.startswith(f"{alike}-") and age > _UNUSED_SECONDS
            if path != written and (is_old or taken > self._max_bytes):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _tell(self, what: str, path: Path, exc: OSError) -> None:
        """Log, once, that the folder does not work."""
        if not self._has_told:
            self._has_told = True
            logger.info("A prepared classifier %s", what, extra={"path": str(path), "reason": exc.strerror or str(exc)})


def _checked(file: BufferedReader, sha256: str) -> CheckpointCard:
    """Check a file as a whole, and give the card in it; raise `PreparedError` or `OSError`."""
    status = os.fstat(file.fileno())
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        raise PreparedError("belongs to somebody else, or others may write it")
    if status.st_size > MAX_BYTES:
        raise PreparedError("is too large")
    card: CheckpointCard | None = check(file).get("card")
    if not isinstance(card, dict) or card.get("sha256") != sha256:
        raise PreparedError("is of another checkpoint")
    return card
