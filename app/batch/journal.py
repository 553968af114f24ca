"""The journal of a long run: the results so far, one line of JSON per photo, in order.

Its first line identifies the run. A run that was stopped, in any way, resumes after the last complete line.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from whisker.app.batch.photos import Photo
from whisker.app.batch.results import Lines
from whisker.app.errors import ResultsError


class Journal:
    """An open journal, locked against other runs; `done` photos are in it, `failed` ones among them."""

    def __init__(self, path: Path, heading: Mapping[str, object], *, overwrite: bool) -> None:
        """Start a journal at `path`, or open the existing one; `heading` identifies the run.

        Raises `ResultsError` if it is another run's, unless it may be overwritten.
        """
        self.done = 0
        self.failed = 0
        self._path = path
        self._first = json.dumps(heading).encode() + b"\n"
        with _written_to(path):
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            with _written_to(path):
                self._begin(heading, overwrite=overwrite)
        except BaseException:  # raised again: whatever it is, nobody else would close the file
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def pass_over(self, photos: Iterator[Photo]) -> None:
        """Skip the `photos` that are in the journal; an incomplete last line, left by a kill, is dropped.

        Raises `ResultsError` if other photos are in it.
        """
        whole = self._file.seek(len(self._first))
        for line in self._file:
            row = _parse(line)
            if row is None:
                break
            photo = next(photos, None)
            if photo is None or row["photo"] != photo.name:
                raise ResultsError(
                    f"The photos have changed since {self._path} was begun (there is {row['photo']!r} in it): put them "
                    "back to go on, or start again with --overwrite."
                )
            self.done += 1
            self.failed += "error" in row
            whole += len(line)
        with _written_to(self._path):
            self._file.seek(whole)
            self._file.truncate()

    def append(self, results: Lines) -> None:
        """Add results, which then outlive this process."""
        with _written_to(self._path):
            self._file.write(results.text)
            self._file.flush()
        self.done += results.photos
        self.failed += results.failures

    def lines(self) -> Iterator[bytes]:
        """Read all results."""
        self._file.seek(len(self._first))
        yield from self._file

    def remove(self) -> None:
        """Delete the file."""
        with _written_to(self._path):
            self._path.unlink()

    def _begin(self, heading: Mapping[str, object], *, overwrite: bool) -> None:
        self._lock()
        if overwrite:
            self._file.truncate(0)
        first = self._file.readline()
        if first == self._first:
            return
        if not self._first.startswith(first):  # otherwise it is empty, or its first line was cut short
            raise ResultsError(_refusal(self._path, first, heading))
        self._file.seek(0)
        self._file.truncate()
        self._file.write(self._first)
        self._file.flush()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ResultsError(
                f"Another run is writing {self._path}: wait for it, or give another file with --out."
            ) from exc


def _parse(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and "photo" in row else None


def _refusal(path: Path, first: bytes, heading: Mapping[str, object]) -> str:
    """Describe how the journal's run differs from this one."""
    try:
        found = json.loads(first)
    except ValueError:
        found = None
    if not isinstance(found, dict) or _form(found) != _form(heading):
        return f"{path} is not a journal of this version of Whisker: move it away, or replace it with --overwrite."
    differing = next(name for name in heading if found[name] != heading[name])
    return (
        f"{path} is the journal of a run with another {differing} ({found[differing]!r} instead of "
        f"{heading[differing]!r}): give that one to go on, start again with --overwrite, or choose another --out."
    )


def _form(heading: Mapping[str, object]) -> tuple[object, set[str]]:
    return heading.get("journal"), {*heading}


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ResultsError(f"{path} cannot be written: {exc.strerror}.") from exc
