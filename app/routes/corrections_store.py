"""The folder of corrections: `FOLDER/<label>/<sha256>.jpg`, and a line each in `FOLDER/corrections.jsonl`.

A photo with several labels lies in the folder of each of them: as a copy, since not every file system has links.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from whisker.app.errors import CorrectionsFullError, OverloadedError
from whisker.model.atomic_write import atomic_write

_LINES = "corrections.jsonl"
_BLOCK_BYTES = 4096  # on disk, of the smallest file
_COUNT_SECONDS = 60.0  # between two counts of the folder, since other workers and the operator change it, too
_MAX_WAITING = 8  # photos; more are refused, so that other requests are not delayed

logger = logging.getLogger(__name__)


class CorrectionsStore:
    """Store photos one at a time, in its own thread. Belongs to one event loop."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="corrections")
        self._waiting = 0
        self._used_bytes = 0
        self._counted_at = -_COUNT_SECONDS

    async def keep(self, photo: bytes, line: Mapping[str, object]) -> str:
        """Store a JPEG as `store` does; raise `OverloadedError` if too many are waiting."""
        if self._waiting == _MAX_WAITING:
            raise OverloadedError("Too many corrections at once; try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.store, photo, line)
        finally:
            self._waiting -= 1

    def store(self, photo: bytes, line: Mapping[str, object]) -> str:
        """Store a JPEG under the `label` of its line, or each of its `labels`, and the line; return the file's name.

        Several labels are all that a photo has: copies under others, from an earlier correction, are deleted. On
        failure nothing is kept. Raises `CorrectionsFullError` if the folder has no room for it, by its limit or its
        disk.
        """
        paths = [self._root / _folder(label) / f"{hashlib.sha256(photo).hexdigest()}.jpg" for label in _labels(line)]
        missing, withdrawn = list[Path](), list[Path]()
        try:
            missing = [path for path in paths if not path.exists()]
            if "labels" in line:
                withdrawn = [path for path in self._root.glob(f"*/{paths[0].name}") if path not in paths]
            if missing or withdrawn:
                self._make_room(len(missing) * _taken(len(photo)))
                for path in missing:
                    path.parent.mkdir(exist_ok=True)
                    with atomic_write(path) as temporary:
                        temporary.write_bytes(photo)
                self._note(paths[0], line)
                for path in withdrawn:
                    path.unlink(missing_ok=True)  # another worker may have been first
        except OSError as exc:
            for path in missing:
                with contextlib.suppress(OSError):
                    path.unlink()
            logger.error("A correction cannot be kept", extra={"reason": exc.strerror})  # noqa: TRY400 - the traceback says nothing
            raise CorrectionsFullError("The correction cannot be kept at the moment.") from exc
        return paths[0].name

    def _make_room(self, more: int) -> None:
        """Reserve `more` bytes; raise `CorrectionsFullError` if they do not fit."""
        now = time.monotonic()
        if now - self._counted_at >= _COUNT_SECONDS:
            self._used_bytes = sum(_taken(photo.stat().st_size) for photo in self._root.glob("*/*.jpg"))
            self._counted_at = now
        if self._used_bytes + more > self._max_bytes:
            raise CorrectionsFullError("The folder for corrections is full.")
        self._used_bytes += more

    def _note(self, photo: Path, line: Mapping[str, object]) -> None:
        """Add a photo's line; on failure, delete the part of it that was written."""
        said = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "photo": f"{photo.parent.name}/{photo.name}",
            **line,
        }
        with (self._root / _LINES).open("ab", buffering=0) as file:
            before = file.tell()
            try:
                file.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")
            except OSError:
                file.truncate(before)
                raise


def _labels(line: Mapping[str, object]) -> list[str]:
    labels = line.get("labels")
    return [*map(str, labels)] if isinstance(labels, list) else [str(line["label"])]


def _folder(label: str) -> str:
    """Give the name of a label's folder; raise `CorrectionsFullError` if there can be none."""
    if Path(label).name != label or label.startswith("."):  # the checkpoint may be hostile
        raise CorrectionsFullError("The name of this class cannot be the name of a folder.")
    return label


def _taken(size: int) -> int:
    """Return the bytes that a file takes on disk."""
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
