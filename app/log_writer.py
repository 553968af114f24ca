"""A log that holds nobody up: a thread writes it, lines that it cannot write are counted, repeated ones summed up."""

import logging
import queue
import time
from collections import Counter
from collections.abc import Hashable
from contextlib import suppress
from threading import Lock, Thread
from typing import TextIO

MAX_LINES = 10  # of one kind in a second; the others are counted in one line
SUMMARY_SECONDS = 1.0
_MAX_WAITING = 1_000  # lines
_FLUSH_SECONDS = 1.0  # that lines may take at the end of the process
_FIRST_FAILURE = 400


class LineLimit:
    """Let a few lines of each kind through in a second, and count the others. May be used by several threads.

    A kind is a message and, of a request that was not answered, its `code`. Lines about answered requests are not
    limited: they are there if the operator wants all.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[Hashable] = Counter()
        self._first: dict[Hashable, logging.LogRecord] = {}
        self._since = time.monotonic()

    def admits(self, record: logging.LogRecord) -> bool:
        """Tell whether to write a record."""
        if getattr(record, "status", _FIRST_FAILURE) < _FIRST_FAILURE:
            return True
        kind = (record.name, record.msg, getattr(record, "code", None))
        with self._lock:
            self._first.setdefault(kind, record)
            self._counts[kind] += 1
            return self._counts[kind] <= MAX_LINES

    def summaries(self, *, now: bool = False) -> list[logging.LogRecord]:
        """Give a record for each kind of which lines were left out; none before a second has passed, unless `now`."""
        with self._lock:
            if not now and time.monotonic() - self._since < SUMMARY_SECONDS:
                return []
            left_out = [(self._first[kind], count - MAX_LINES) for kind, count in self._counts.items()]
            self._counts.clear()
            self._first.clear()
            self._since = time.monotonic()
        return [_summary(first, count) for first, count in left_out if count > 0]


class ThreadedHandler(logging.Handler):
    """Write lines to `stream` in a thread: one that nobody reads, or a full disk, must not stop the process."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._limit = LineLimit()
        self._lines: queue.Queue[str] = queue.Queue(_MAX_WAITING)
        self._dropped = self._untold = 0  # for whom asks, and for the log itself
        self._writer = Thread(target=self._write, name="log", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Leave a record to the thread."""
        if self._writer.ident is None:
            self._writer.start()
        if self._limit.admits(record):
            self._put(record)

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def flush(self) -> None:
        """Wait a moment for all lines to be written."""
        for record in self._limit.summaries(now=True):
            self._put(record)
        deadline = time.monotonic() + _FLUSH_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.001)

    def _put(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
            self._untold += 1

    def _write(self) -> None:
        while True:
            try:
                self._print(self._lines.get(timeout=SUMMARY_SECONDS))
            except queue.Empty:
                pass
            else:
                self._lines.task_done()
            for record in self._limit.summaries():
                self._print(self._own(record))
            if self._untold and self._lines.empty():
                lines, self._untold = self._untold, 0
                self._print(self._own(_dropped(lines)))

    def _own(self, record: logging.LogRecord) -> str:
        self.filter(record)  # which names the HTTP worker
        return self.format(record)

    def _print(self, line: str) -> None:
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # a full disk or a closed pipe; the latter if the stream is closed
            self._dropped += 1
            with suppress(OSError, ValueError):  # what is buffered would be tried again with every line
                self.stream.flush()


def _summary(first: logging.LogRecord, count: int) -> logging.LogRecord:
    fields = {"lines": count, "like": first.getMessage()}
    if hasattr(first, "code"):
        fields["code"] = first.code
    return _record(first.name, first.levelno, "More lines of a kind were left out", fields)


def _dropped(lines: int) -> logging.LogRecord:
    return _record(__name__, logging.WARNING, "Lines were dropped, since the log was not read", {"lines": lines})


def _record(name: str, level: int, message: str, fields: dict[str, object]) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": name, "levelno": level, "levelname": logging.getLevelName(level), "msg": message, **fields}
    )
