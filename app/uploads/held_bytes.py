"""The memory that uploads take together, and which of them give way when it is full."""

import asyncio
import math
import time
from dataclasses import dataclass

from whisker.app.errors import OverloadedError

_SMALL_BYTES = 1_000_000  # at most, of an upload that has a share of its own: most photos
_LARGE_SHARE = 0.8  # of all bytes, for uploads that are larger
_RECENT_SECONDS = 1.0  # over which an upload's pace is averaged, the latest counting most
_FULL = "The service holds as many uploads as its memory allows; try again soon."


@dataclass(slots=True, eq=False)
class HeldUpload:
    """The bytes of one upload that is being received or answered.

    `timeout` is that of its wait for more; it is cut short when the upload has to give way.
    """

    size: int = 0
    is_complete: bool = False
    gives_way: bool = False
    timeout: asyncio.Timeout | None = None
    _pace: float = 0.0  # bytes a second
    _paced_at: float = 0.0

    def note(self, size: int, now: float) -> None:
        """Count bytes that have come."""
        self.size += size
        self._pace = self._decayed(now) + size / _RECENT_SECONDS
        self._paced_at = now

    def slowness(self, now: float) -> float:
        """Give the seconds that it would take for what it holds, at its recent pace."""
        pace = self._decayed(now)
        return self.size / pace if pace > 0 else math.inf

    def _decayed(self, now: float) -> float:
        return self._pace * math.exp((self._paced_at - now) / _RECENT_SECONDS)


class HeldBytes:
    """Bound the bytes of all uploads in memory. The slowest incomplete ones give way, large ones before small ones."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._uploads: set[HeldUpload] = set()
        self._total = self._large = 0

    def open(self) -> HeldUpload:
        upload = HeldUpload()
        self._uploads.add(upload)
        return upload

    def add(self, upload: HeldUpload, size: int) -> None:
        """Hold more bytes of an upload; raise `OverloadedError` if nothing can give way to them, or it has had to."""
        if upload.gives_way:
            raise OverloadedError(_FULL)
        now = time.monotonic()
        self._count(upload, -1)
        upload.note(size, now)
        self._count(upload, 1)
        while self._large > _LARGE_SHARE * self._max_bytes and self._large > upload.size:
            self._free(upload, now, only_large=True)
        while self._total > self._max_bytes:
            self._free(upload, now, only_large=False)

    def close(self, upload: HeldUpload) -> None:
        """Hold an upload no more; closing twice does nothing."""
        if upload in self._uploads:
            self._uploads.remove(upload)
            self._count(upload, -1)

    def _free(self, upload: HeldUpload, now: float, *, only_large: bool) -> None:
        """Let the slowest incomplete upload give way; raise `OverloadedError` if that is `upload`, or there is none."""
        incomplete = [it for it in self._uploads if not it.is_complete and (_is_large(it) or not only_large)]
        slowest = max(incomplete, key=lambda it: it.slowness(now), default=upload)
        slowest.gives_way = True
        self.close(slowest)
        if slowest is upload:
            raise OverloadedError(_FULL)
        if slowest.timeout is not None and not slowest.timeout.expired():
            slowest.timeout.reschedule(0)

    def _count(self, upload: HeldUpload, sign: int) -> None:
        self._total += sign * upload.size
        if _is_large(upload):
            self._large += sign * upload.size


def _is_large(upload: HeldUpload) -> bool:
    return upload.size > _SMALL_BYTES
