"""The file `DIR/<name>/rollout.json`: read by every process that serves the folder, and changed by one at a time."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from whisker.app.errors import RolloutError, quoted
from whisker.app.repository.folder import ROLLOUT
from whisker.app.repository.rollout import Rollout
from whisker.model.atomic_write import atomic_write
from whisker.model.regular_file import read_regular

_LOCK = ".rollout.lock"  # never deleted: whoever waits for it has it open
_MAX_BYTES = 1_000_000


def read_rollout(folder: Path) -> Rollout:
    """Read a model's file, or give the default where there is none; raise `RolloutError` if it cannot be used."""
    path = folder / ROLLOUT
    try:
        return _parse(path, read_regular(path, max_bytes=_MAX_BYTES))
    except FileNotFoundError:
        return Rollout()
    except OSError as exc:
        raise RolloutError(f"{path} cannot be read: {exc.strerror}.") from exc


def write_rollout(folder: Path, rollout: Rollout) -> None:
    """Replace a model's file as a whole; raise `RolloutError` if that fails, or if it could not be read again."""
    path = folder / ROLLOUT
    document = _document().dump_json(rollout, indent=2) + b"\n"
    _parse(path, document)
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(document)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def rollout_document(rollout: Rollout) -> dict[str, Any]:
    """Give the JSON object that the file holds."""
    document: dict[str, Any] = _document().dump_python(rollout, mode="json")
    return document


def change_rollout(folder: Path, change: Callable[[Rollout], Rollout]) -> Rollout:
    """Let `change` make a new document of the one in the file, while no other process can; return it.

    A process that changes the file at the same moment is waited for, so call it in a thread. Nothing is written if
    nothing changed, or if `change` raises. Raises `RolloutError`.
    """
    with locked(folder):
        before = read_rollout(folder)
        after = change(before)
        if after != before:
            write_rollout(folder, after)
        return after


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing what stands in a model's folder; raise `RolloutError`."""
    path = folder / _LOCK
    try:
        descriptor = _open(path)
    except OSError as exc:
        raise _unwritable(folder / ROLLOUT, exc) from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            raise RolloutError(f"{path} cannot be locked: {exc.strerror}.") from exc
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the lock file for writing, which network file systems ask for, or, if another user made it, for reading."""
    flags = os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_RDWR, 0o666)
    except PermissionError:
        return os.open(path, flags | os.O_RDONLY, 0o666)


@cache
def _document() -> TypeAdapter[Rollout]:
    return TypeAdapter(Rollout)


def _parse(path: Path, document: bytes) -> Rollout:
    try:
        return _document().validate_json(document)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        place, message = ".".join(map(str, error["loc"])), error["msg"].rstrip(".")
        where = f"its {quoted(place)} is wrong: " if place else ""
        raise RolloutError(f"{path} cannot be used: {where}{message[:1].lower()}{message[1:]}.") from exc


def _unwritable(path: Path, exc: OSError) -> RolloutError:
    return RolloutError(f"{path} cannot be written, so that nothing was changed: {exc.strerror}.")
