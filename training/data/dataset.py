"""Photos that are ready to train on: decoded, grouped by duplicates, and split."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.plain_text import printable
from whisker.model.preprocessing import Preprocessing
from whisker.training.data.cache import decode_photos
from whisker.training.data.folders.names import Side
from whisker.training.data.groups import PhotoGroups
from whisker.training.progress import Progress

MANY_LABELS = -1  # a photo's label where it may have any number of them


@dataclass(frozen=True, slots=True)
class Split:
    """One of the three splits: uint8 `[M, H, W, 3]` pixels, the rows in use `[N]`, and their labels `[N]`.

    `files` are the paths of the photos, relative to their root, as the file system has them. Photos with equal numbers
    in `groups` `[N]` must stay together wherever a split is divided again. Photos of a multi-label training have their
    labels in `present`, bool `[N, classes]`, and `MANY_LABELS` for the one label that they lack.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    files: tuple[str, ...] = ()
    groups: NDArray[np.int64] = field(kw_only=True)
    present: NDArray[np.bool_] | None = field(default=None, kw_only=True)

    @property
    def paths(self) -> tuple[str, ...]:
        """The same paths, printable."""
        return tuple(map(printable, self.files))

    def take(self, positions: NDArray[np.int64]) -> "Split":
        """Take the photos at some positions in `rows`, in that order."""
        files = tuple(self.files[position] for position in positions) if self.files else ()
        return Split(
            self.pixels,
            self.rows[positions],
            self.labels[positions],
            files,
            groups=self.groups[positions],
            present=None if self.present is None else self.present[positions],
        )

    def count_classes(self, classes: int) -> NDArray[np.int64]:
        """Count the photos of each class `[classes]`; one with several labels counts for each."""
        counts: NDArray[np.int64] = (
            np.bincount(self.labels, minlength=classes) if self.present is None else self.present.sum(0)
        )
        return counts

    def require_present(self) -> NDArray[np.bool_]:
        """Give the labels `[N, classes]` of a multi-label training's photos."""
        assert self.present is not None  # noqa: S101 - only multi-label trainings ask for it
        return self.present


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class DuplicatePhoto:
    """One of several photos that look the same: its path, labels, and row in the pixels of the training split."""

    path: str
    labels: tuple[int, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """The three splits, and the faults that were noticed.

    Training pixels are a quarter larger than the serving size, for sharp crops; the other two splits have it exactly.
    A transfer has its training photos at the serving size, too: `served`. With cross-validation, all photos are
    training photos, and `test` is `served`.
    """

    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    counts: tuple[int, ...]  # readable photos a class; one with several labels counts for each
    copies: tuple[tuple[DuplicatePhoto, ...], ...]  # groups of photos that look the same
    groups: PhotoGroups | None  # that users name
    quarantined: tuple[Quarantined, ...]
    digests: frozenset[str]  # SHA-256 of every readable photo
    fingerprint: str
    split: str  # a hash of the assignment of photos to splits
    served: Split | None = None
    sides: tuple[Side, ...] = ()  # the splits that the folder had itself

    @property
    def duplicates(self) -> int:
        """Count the photos that are copies or near-copies of another."""
        return sum(len(photos) - 1 for photos in self.copies)

    @property
    def conflicts(self) -> tuple[tuple[str, ...], ...]:
        """List the paths of photos that look the same but have different labels: at least one label is wrong."""
        differing = [photos for photos in self.copies if len({photo.labels for photo in photos}) > 1]
        return tuple(tuple(photo.path for photo in photos) for photos in differing)


def decode_served(root: Path, photos: Split, preprocessing: Preprocessing, cache: Path, progress: Progress) -> Split:
    """Decode photos as a service with this preprocessing sees them."""
    pixels, _ = decode_photos(root, photos.files, preprocessing, cache, progress)
    return replace(photos, pixels=pixels, rows=np.arange(len(photos.rows)))


def batched(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield `indices` in batches of at most `size`."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
