"""The store of photos for review: its catalogue and its files, changed together.

Files are written before the catalogue is and deleted after it; `sweep` mends what a crash has left in between. Only
where a person deletes a photo do the files go first, so that no crash leaves any.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from whisker.app.errors import PhotoGoneError, ReviewUnavailableError
from whisker.app.review.catalogue import Catalogue, Transaction
from whisker.app.review.entry import Entry, Labels
from whisker.app.review.folder import ReviewFolder, taken_bytes
from whisker.app.review.progress import Progress, count_labels
from whisker.app.review.sweep import mend, sweep

CATALOGUE = "review.sqlite3"
_THREADS = 4
_CENTRES = 500  # photos labelled last, which the next ones are to differ from

_P = ParamSpec("_P")
_T = TypeVar("_T")
Outcome = Literal["kept", "known", "uninteresting", "full"]


class ReviewStore:
    """Keep, label and delete photos. Threads and processes may share a folder; raises `ReviewUnavailableError`."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.folder = ReviewFolder(root)
        self._catalogue = Catalogue(root / CATALOGUE)
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="review")

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do work in a thread of the store's own: others must not wait for a catalogue that is locked."""
        call = partial(copy_context().run, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def has(self, upload: str) -> bool:
        """Tell whether an upload with this SHA-256 is there."""
        with _translated(), self._catalogue.reading() as catalogue:
            return catalogue.has("", upload)

    def floor(self) -> float:
        """Tell what the interest of a photo has to exceed for it to be kept."""
        with _translated(), self._catalogue.reading() as catalogue:
            if catalogue.used_bytes() + catalogue.usual_bytes() <= self._max_bytes:
                return -1.0  # there is room for another one
            return next((it.worth for it in catalogue.cheapest()), 1.0)

    def keep(self, content: bytes, entry: Entry) -> Outcome:
        """Keep a photo; its `id`, `bytes`, `worth` and `kept_at` are filled in here.

        It is worth its interest, and less the more it is like one that is kept. If the folder is full, photos that are
        worth less give way to it, unless they are labelled.
        """
        from whisker.app.review.order import nearest_distances  # noqa: PLC0415 - NumPy, for this folder alone

        entry = replace(entry, id=hashlib.sha256(content).hexdigest(), bytes=taken_bytes(content), kept_at=_now())
        with _translated(), self._catalogue.writing() as catalogue:
            if catalogue.has(entry.id, entry.upload):
                return "known"
            far = nearest_distances([entry.rated], catalogue.rated(entry.model))
            entry = replace(entry, worth=entry.interest * float(far[0]))
            missing = catalogue.used_bytes() + entry.bytes - self._max_bytes
            leaving = _leaving(catalogue.cheapest(), entry.worth, missing)
            if leaving is None:
                return "uninteresting" if any(catalogue.cheapest()) else "full"
            self._write(catalogue, self.folder.paths(entry.id, None), content)
            for it in leaving:
                catalogue.delete(it.id)
            catalogue.add(entry)
        self._tidy([it.id for it in leaving])
        return "kept"

    def next(self, count: int) -> list[Entry]:
        """List the photos to be labelled next."""
        from whisker.app.review.order import next_photos  # noqa: PLC0415 - as above

        with _translated(), self._catalogue.reading() as catalogue:
            waiting, done = catalogue.waiting(), catalogue.done(_CENTRES)
            ids = [*waiting]
            found = (catalogue.find(ids[at]) for at in next_photos([*waiting.values()], done, count))
            return [entry for entry in found if entry is not None]  # it may have gone in between

    def find(self, photo: str) -> Entry:
        """Return what is known of a photo; raise `PhotoGoneError`."""
        with _translated(), self._catalogue.reading() as catalogue:
            return _found(catalogue, photo)

    def read(self, photo: str) -> bytes:
        """Read a photo, wherever it lies; raise `PhotoGoneError`."""
        for _ in range(2):
            labels = self.find(photo).labels
            with _translated(), contextlib.suppress(FileNotFoundError):
                return self.folder.read(photo, labels)
            self._mend(photo)  # it has been moved in between, or by hand
        raise PhotoGoneError("The photo is no longer in the review folder.")

    def label(self, photo: str, labels: Labels) -> Entry:
        """Give a photo its labels, none of the classes if empty, or `None` to take them back. The last one wins."""
        at = None if labels is None else _now()
        content = self.read(photo)
        places = self.folder.paths(photo, labels)
        with _translated(), self._catalogue.writing() as catalogue:
            before = _found(catalogue, photo)
            self._write(catalogue, places, content)
            catalogue.label(photo, labels, at=at, size=taken_bytes(content) * len(places))
        self._tidy([photo])
        return replace(before, labels=labels, labelled_at=at)

    def skip(self, photo: str) -> None:
        """Let all photos that were not skipped go first."""
        with _translated(), self._catalogue.writing() as catalogue:
            _found(catalogue, photo)
            catalogue.skip(photo)

    def delete(self, photo: str) -> None:
        """Delete a photo, and all that is known of it, for good."""
        with _translated(), self._catalogue.writing() as catalogue:
            recorded = self.folder.paths(photo, _found(catalogue, photo).labels)
            catalogue.delete(photo)
            self.folder.remove({*recorded, *self.folder.places(photo)})

    def progress(self) -> Progress:
        with _translated(), self._catalogue.reading() as catalogue:
            return count_labels(catalogue.counts())

    def labelled(self) -> list[Entry]:
        """List the photos that have labels, or show none of the classes."""
        with _translated(), self._catalogue.reading() as catalogue:
            return [*catalogue.labelled()]

    def sweep(self) -> None:
        """Delete what a crash has left, and follow what was moved or deleted by hand."""
        with _translated(), self._catalogue.writing() as catalogue:
            sweep(catalogue, self.folder, _now())

    def _write(self, catalogue: Transaction, paths: list[Path], content: bytes) -> None:
        """Write a photo to places, until the transaction fails."""
        written = list[Path]()
        catalogue.undo.callback(self.folder.remove, written)
        self.folder.write(paths, content, written)

    def _tidy(self, photos: Sequence[str]) -> None:
        """Delete files of photos that lie where the catalogue, which others may have changed, does not have them."""
        if photos:
            with _translated(), self._catalogue.writing() as catalogue:
                for photo in photos:
                    entry = catalogue.find(photo)
                    paths = self.folder.paths(photo, entry.labels if entry else None)
                    self.folder.remove(self.folder.places(photo) - {*paths} if entry else paths)

    def _mend(self, photo: str) -> None:
        with _translated(), self._catalogue.writing() as catalogue:
            entry = catalogue.find(photo)
            if entry is not None:
                mend(catalogue, self.folder, entry, self.folder.places(photo), _now())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as exc:
        raise ReviewUnavailableError("The review folder cannot be used: an entry of its catalogue is damaged.") from exc
    except (OSError, sqlite3.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ReviewUnavailableError(f"The review folder cannot be used at the moment: {reason}.") from exc


def _found(catalogue: Transaction, photo: str) -> Entry:
    entry = catalogue.find(photo)
    if entry is None:
        raise PhotoGoneError("There is no such photo in the review folder, or no longer.")
    return entry


def _leaving(cheapest: Iterable[Entry], worth: float, missing: int) -> list[Entry] | None:
    """Choose the photos that give way to one of a worth; `None` if too few bytes are in photos that are worth less."""
    leaving = list[Entry]()
    for entry in cheapest:
        if missing <= 0 or entry.worth >= worth:
            break
        leaving.append(entry)
        missing -= entry.bytes
    return leaving if missing <= 0 else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
