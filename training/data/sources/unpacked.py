"""Where a source is unpacked: once, for every command that is given it again, and whole or not at all."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whisker.model.atomic_write import atomic_write
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.progress import Progress

_VERSION = 1  # of what is unpacked: that of others is not used
_DONE = "source.json"  # written last, into the folder of what was unpacked


@dataclass(frozen=True, slots=True)
class Contents:
    """What was unpacked, as paths in its folder: that of the photos and, if there is one, the file of their labels.

    `found` says what the source is and holds, `sentences` what was left out. `labelled` tells whether the file is of
    all photos, so that folders name no classes.
    """

    photos: str
    found: str
    sentences: tuple[str, ...] = ()
    labels: str | None = None
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A source to unpack: the files that it consists of, and whatever else decides what is unpacked."""

    source: Path
    name: str
    files: Sequence[Path]
    choices: Sequence[str | None] = ()

    @property
    def stamp(self) -> str:
        """Hash the state of the files; one that changes has another size or time of change."""
        stamps = [(file.name, file.parent.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        return _hashed([_VERSION, self.source.name, stamps])

    @property
    def key(self) -> str:
        """Hash what tells this request from others."""
        return _hashed([self.stamp, *self.choices])

    @property
    def folder(self) -> str:
        """Name the folder that it is unpacked to."""
        return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', self.name)[:40].strip('-') or 'photos'}-{self.key}"


def unpack_once(
    request: Request, places: Sequence[Path], unpack: Callable[[Path], Contents], progress: Progress
) -> tuple[Path, Contents]:
    """Let `unpack` fill a new folder in the first of `places`, unless one of them has it; return folder and contents.

    Raises `TrainingInterruptedError` when stopped, and `TrainingError` if the folder cannot be written; in either case,
    as with the errors of `unpack`, nothing is left behind.
    """
    try:
        folder = places[0] / request.folder
        with _locked(places[0], progress):
            for place in places:
                if (contents := _read(place / request.folder)) is not None:
                    _say(request, contents, f"unpacked earlier to {place / request.folder}", progress)
                    return place / request.folder, contents
            _remove_older(request, places[0], progress)
            contents = _unpack(request, folder, unpack)
    except OSError as exc:
        raise TrainingError(f"{request.source} cannot be unpacked to {places[0]}: {exc.strerror}.") from exc
    _say(request, contents, f"unpacked once to {folder}", progress)
    return folder, contents


def _unpack(request: Request, folder: Path, unpack: Callable[[Path], Contents]) -> Contents:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a command that was killed
    shutil.rmtree(folder, ignore_errors=True)  # without the file that is written last
    unfinished.mkdir()
    try:
        contents = unpack(unfinished)
        with atomic_write(unfinished / _DONE) as temporary:
            origin = {"source": str(request.source.resolve()), "stamp": request.stamp}
            temporary.write_text(json.dumps({**origin, **asdict(contents)}))
        unfinished.rename(folder)
    except KeyboardInterrupt as exc:
        raise TrainingInterruptedError(
            f"Stopped while unpacking {request.source}. The same command starts that again; nothing is left behind."
        ) from exc
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return contents


@contextmanager
def _locked(place: Path, progress: Progress) -> Iterator[None]:
    """Make a place, and let one command at a time unpack into it; one that nothing was unpacked to is removed."""
    file = place / "lock"
    while True:
        place.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress.say(f"Waiting for another command that unpacks into {place}.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_same(file, lock.fileno()):
                continue  # the other command has removed it
            try:
                yield
            finally:
                file.unlink()
                for folder in (place, place.parent):
                    with suppress(OSError):  # others are in it
                        folder.rmdir()
            return


def _is_same(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _document(folder: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads((folder / _DONE).read_text())
    except (OSError, ValueError):
        return None
    return document


def _read(folder: Path) -> Contents | None:
    """Read what a folder holds; `None` if it is not there, or incomplete."""
    document = _document(folder)
    if document is None:
        return None
    fields = {name: value for name, value in document.items() if name not in {"source", "stamp"}}
    return Contents(**{**fields, "sentences": tuple(fields["sentences"])})


def _remove_older(request: Request, place: Path, progress: Progress) -> None:
    """Remove what was unpacked before the source changed; what was unpacked with other choices may be in use."""
    source, stamp = str(request.source.resolve()), request.stamp
    for folder in place.iterdir():
        document = _document(folder)
        if document is not None and document.get("source") == source and document.get("stamp") != stamp:
            progress.say(f"{request.source} has changed: {folder} is replaced.")
            shutil.rmtree(folder)


def _hashed(value: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(value).encode(errors="surrogateescape")).hexdigest()[:12]


def _say(request: Request, contents: Contents, where: str, progress: Progress) -> None:
    progress.say(f"{request.source.name}: {contents.found}; {where}.")
    for sentence in contents.sentences:
        progress.say(sentence)
