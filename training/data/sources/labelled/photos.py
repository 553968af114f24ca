"""Photos with labels, from wherever they come, written as a folder of photos and a file of labels."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from whisker.model.photo_files import MAX_FILE_BYTES
from whisker.model.plain_text import printable, to_cell
from whisker.training.amount import amount
from whisker.training.data.folders.labels import NO_LABEL, SEPARATOR
from whisker.training.data.folders.names import SIDES
from whisker.training.data.sources.destination import Destination
from whisker.training.data.sources.labelled.shards import Shard
from whisker.training.errors import DatasetError
from whisker.training.progress import Task

LABELS, PHOTOS = "labels.csv", "photos"  # in the folder that a source is unpacked to
_MAX_CELL = 100_000  # characters, which readers of CSV files take
_MAX_FOLDER = 10_000  # photos in one folder
_ENDINGS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II", ".tif"),
    (b"MM\0", ".tif"),
    (b"RIFF", ".webp"),
)


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo's name, bytes and labels: `None` if they are unknown; `others` are the cells of other columns."""

    name: str
    data: bytes
    labels: tuple[str, ...] | None
    others: tuple[str, ...] = ()


class LabelledFolder:
    """Writes photos below `folder/photos`, in folders of their side, and `folder/labels.csv`."""

    def __init__(self, folder: Path, destination: Destination, source: Path, columns: Sequence[str] = ()) -> None:
        self.counts: dict[str, int] = {}  # photos that were written, by side
        self.classes: set[str] = set()
        self.without_label = self.without_bytes = self.too_long = 0
        self.several = False  # labels a photo
        self.path = folder / LABELS
        self._source, self._destination = source, destination
        self._file = self.path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["path", "label", *columns])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, photo: LabelledPhoto, side: str) -> None:
        """Write a photo, unless there is nothing of it, or its labels are unknown."""
        if not photo.data:
            self.without_bytes += 1
            return
        if photo.labels is None:
            self.without_label += 1
            return
        self._require_undivided(photo.labels)
        label = SEPARATOR.join(photo.labels) or NO_LABEL
        if len(label) > _MAX_CELL:
            raise DatasetError(f"A label in {self._source} is a text of {len(label):,} characters, {label[:80]!r}...")
        number = self.counts.get(side, 0)
        self.counts[side] = number + 1
        folder = f"photos-{number // _MAX_FOLDER:04}"
        name = _file_name(photo, number)
        path = self._destination.write(f"{side}/{folder}/{name}" if side else f"{folder}/{name}", [photo.data])
        self.classes.update(photo.labels)
        self.several |= len(photo.labels) != 1
        try:
            self._writer.writerow([to_cell(path), to_cell(label), *map(to_cell, photo.others)])
        except OSError as exc:
            raise self._destination.unwritable(exc) from exc

    @property
    def numbers(self) -> set[str]:
        """Give the classes that are called by numbers."""
        return {label for label in self.classes if label.isascii() and label.isdigit()}

    @property
    def has_numbers(self) -> bool:
        """Tell whether all classes are called by numbers."""
        return bool(self.classes) and self.numbers == self.classes

    def rename_classes(self, names: Sequence[str]) -> None:
        """Write the names of classes in the place of their numbers."""
        named = {label: names[int(label)] for label in self.classes}
        self._require_undivided(named.values())
        self._file.close()
        numbered = self.path.with_name("numbered.csv")
        self.path.rename(numbered)
        with (
            numbered.open(encoding="utf-8", newline="") as old,
            self.path.open("w", encoding="utf-8", newline="") as new,
        ):
            rows, writer = csv.reader(old), csv.writer(new)
            writer.writerow(next(rows))
            for path, label, *others in rows:
                joined = SEPARATOR.join(named[number] for number in label.split(SEPARATOR) if number)
                writer.writerow([path, to_cell(joined or NO_LABEL), *others])
        numbered.unlink()
        self.classes = {*named.values()}

    def describe(self) -> str:
        """Say how many classes and photos there are, and in which sides."""
        photos = sum(self.counts.values())
        if not self.classes:
            return amount(photos, "photo")
        named = [side for side in SIDES if side in self.counts]
        several = ", several of them to a photo" if self.several else ""
        sides = f", divided into {', '.join(named)}" if len(named) > 1 else ""
        return f"{amount(len(self.classes), 'class', 'classes')}{several}, {amount(photos, 'photo')}{sides}"

    def left_out(self) -> list[str]:
        """Say what was left out; raise `DatasetError` if nothing else is there."""
        reasons = (
            (self.without_label, "whose labels are unknown"),
            (self.without_bytes, "whose bytes are not in the source"),
            (self.too_long, f"of more than {MAX_FILE_BYTES // 1_000_000:,} MB"),
        )
        said = [f"{amount(count, 'photo')} {reason}" for count, reason in reasons if count]
        if not self.counts:
            raise DatasetError(
                f"{self._source} holds no labelled photos{', but ' if said else ''}{' and '.join(said)}."
            )
        return [f"Left out: {sentence}." for sentence in said]

    def _require_undivided(self, labels: Iterable[str]) -> None:
        odd = next((label for label in labels if SEPARATOR in label), None)
        if odd is not None:
            raise DatasetError(
                f"The class {odd!r} in {self._source} has a {SEPARATOR} in its name, which separates labels: rename it "
                "there."
            )


class Meter:
    """Tells a task how far the photos of a shard are, by their bytes."""

    def __init__(self, task: Task, size: int) -> None:
        self._task, self._left = task, size

    def add(self, photo: LabelledPhoto) -> None:
        """Count a photo that was written."""
        step = max(0, min(len(photo.data), self._left - 1))
        self._left -= step
        self._task.advance(step, 1)

    def finish(self) -> None:
        """Count the rest of the shard."""
        self._task.advance(self._left, 0)


@contextmanager
def metered(task: Task, shard: Shard) -> Iterator[Meter]:
    """Measure the work on a shard."""
    meter = Meter(task, shard.size)
    yield meter
    meter.finish()


def _file_name(photo: LabelledPhoto, number: int) -> str:
    """Give a photo the name that it had, or a number, with the ending that tells its format."""
    name = printable(PurePosixPath(photo.name.replace("\\", "/")).name).strip()
    name = re.sub(r"[\0/:]", "-", name).lstrip(".")
    if name and "." in name:
        return name
    ending = next((ending for start, ending in _ENDINGS if photo.data.startswith(start)), "")
    return (name or f"{number:08}") + ending
