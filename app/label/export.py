"""Labelled photos to take away: a file of labels, and an archive of the folders that training takes."""

import contextlib
import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, cast
from zipfile import ZIP_DEFLATED, ZipFile

from whisker.app.review.entry import Entry
from whisker.app.review.store import ReviewStore
from whisker.model.plain_text import to_cell

LABELS_FILE = "labels.csv"
_HEADER = ("path", "label", "answer", "score", "verdict", "model", "labelled_at")
_SEPARATOR = "|"  # between the labels of a photo, as `whisker train --labels` has it
_TOP = "review"  # folder in the archive


def labels_csv(store: ReviewStore, entries: list[Entry], packed: Collection[Path] | None = None) -> str:
    """Write a line for each labelled photo and each of its places, or those `packed`, relative to the review folder."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEADER)
    for entry in entries:
        for path in store.folder.paths(entry.id, entry.labels) if entry.labels else []:
            if packed is not None and path not in packed:
                continue
            answer = entry.answer
            labels = _SEPARATOR.join(entry.labels or ())
            said = (answer["label"], f"{answer['score']:.4f}", answer["verdict"], entry.model, entry.labelled_at)
            writer.writerow([to_cell(str(it)) for it in (_inside(store, path), labels, *said)])
    return text.getvalue()


def zipped(store: ReviewStore, entries: list[Entry]) -> Iterator[bytes]:
    """Yield an archive of the labelled photos, piece by piece; what somebody has deleted meanwhile is left out."""
    sink, packed = _Sink(), set[Path]()
    # Deflated, though photos hardly shrink: programs that read an archive as it comes cannot tell where a stored file
    # ends whose size was not known when its head was written.
    with ZipFile(cast("IO[bytes]", sink), "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for entry in entries:
            for path in store.folder.paths(entry.id, entry.labels):
                with contextlib.suppress(FileNotFoundError):
                    archive.writestr(f"{_TOP}/{_inside(store, path)}", path.read_bytes())
                    packed.add(path)
                yield sink.take()
        archive.writestr(f"{_TOP}/{LABELS_FILE}", labels_csv(store, entries, packed))
    yield sink.take()


def _inside(store: ReviewStore, path: Path) -> str:
    return path.relative_to(store.folder.root).as_posix()


class _Sink:
    """A file that can only be written, and gives away what came."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Do nothing: what is written can be taken at once."""

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
