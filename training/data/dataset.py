"""A folder of photos made ready: decoded, freed of duplicates across sides, and split."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.photo_files import printable
from whisker.model.preprocessing import Preprocessing
from whisker.training.config import TrainingConfig, cache_size
from whisker.training.data.cache import Decoded, decode_photos
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.folder import PhotoFolder, find_photos
from whisker.training.data.split import split_photos
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_EXAMPLES = 5  # quarantined files named on the screen; all of them are in the report


@dataclass(frozen=True, slots=True)
class Split:
    """One side of the split: uint8 `[M, H, W, 3]` pixels, the rows in use `[N]`, their labels `[N]` and paths."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo's path, label, and row in the pixels of the training side."""

    path: str
    label: int
    row: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """The three sides, and what was noticed on the way.

    Training pixels are a quarter larger than the serving size, for sharp crops; the other two sides have it exactly.
    """

    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    counts: tuple[int, ...]  # readable photos a class
    copies: tuple[tuple[Photo, ...], ...]  # groups of photos that look the same
    quarantined: tuple[Quarantined, ...]
    digests: frozenset[str]  # SHA-256 of every readable photo
    fingerprint: str
    split: str  # a hash of which photos stand on which side

    @property
    def duplicates(self) -> int:
        """Count the photos that are a copy, or nearly, of another."""
        return sum(len(photos) - 1 for photos in self.copies)

    @property
    def conflicts(self) -> tuple[tuple[str, ...], ...]:
        """List the paths of photos that look the same and lie in different classes: at least one label is wrong."""
        differing = [photos for photos in self.copies if len({photo.label for photo in photos}) > 1]
        return tuple(tuple(photo.path for photo in photos) for photos in differing)


def prepare_dataset(
    root: Path, config: TrainingConfig, work: Path, progress: Progress, labels_file: Path | None = None
) -> Dataset:
    """Scan, decode, group and split the photos of `root`, with caches in `work`; `labels_file` is as in `find_photos`.

    Raises `DatasetError` where the folder cannot be trained on.
    """
    folder = find_photos(root, labels_file=labels_file)
    if folder.note:
        progress.say(folder.note)
    paths = [file.path for file in folder.files]
    source = Preprocessing(size=cache_size(config.network.size))
    pixels, decoded = decode_photos(root, paths, source, work / "cache-train", progress)
    quarantined = tuple(
        Quarantined(printable(path), item.error) for path, item in zip(paths, decoded, strict=True) if item.error
    )
    _report_quarantined(quarantined, len(paths), progress)
    readable = np.flatnonzero([not item.error for item in decoded])
    labels = np.array([file.label for file in folder.files], dtype=np.int64)
    counts = np.bincount(labels[readable], minlength=len(folder.classes))
    _require_readable(folder, counts, quarantined)

    digests = [decoded[index].sha256 for index in readable]
    progress.say(f"Looking for duplicates among {len(readable):,} photos.")
    groups = group_duplicates(pixels, readable, digests)
    copies = _copies(folder, groups, readable)
    split = split_photos(
        labels[readable],
        groups,
        folder.classes,
        seed=config.seed,
        validation=config.validation,
        test=config.test,
    )
    held_out = readable[np.concatenate([split.validation, split.test])]
    served = Preprocessing(size=config.network.size)
    held_out_pixels, _ = decode_photos(root, [paths[i] for i in held_out], served, work / "cache-test", progress)
    cut = len(split.validation)
    rows = np.arange(len(held_out))
    train_rows = readable[split.train]
    printed = [printable(path) for path in paths]
    dataset = Dataset(
        classes=folder.classes,
        train=Split(pixels, train_rows, labels[train_rows], tuple(printed[i] for i in train_rows)),
        validation=Split(
            held_out_pixels, rows[:cut], labels[held_out[:cut]], tuple(printed[i] for i in held_out[:cut])
        ),
        test=Split(held_out_pixels, rows[cut:], labels[held_out[cut:]], tuple(printed[i] for i in held_out[cut:])),
        counts=tuple(int(count) for count in counts),
        copies=copies,
        quarantined=quarantined,
        digests=frozenset(digests),
        fingerprint=_fingerprint(folder, decoded, readable, labels),
        split=split_fingerprint([decoded[i].sha256 for i in train_rows], [decoded[i].sha256 for i in held_out]),
    )
    _report_duplicates(dataset, progress)
    return dataset


def _fingerprint(
    folder: PhotoFolder, decoded: list[Decoded], readable: NDArray[np.int64], labels: NDArray[np.int64]
) -> str:
    return data_fingerprint(labels[readable].tolist(), folder.classes, [decoded[index] for index in readable])


def _report_quarantined(quarantined: tuple[Quarantined, ...], total: int, progress: Progress) -> None:
    if not quarantined:
        return
    progress.say(f"Left out {len(quarantined):,} of {total:,} files that cannot be used (all are in the report):")
    for item in quarantined[:_EXAMPLES]:
        progress.say(f"  {item.path}: {item.reason}")


def _require_readable(folder: PhotoFolder, counts: NDArray[np.int64], quarantined: tuple[Quarantined, ...]) -> None:
    for label, (name, count) in enumerate(zip(folder.classes, counts, strict=True)):
        if count == 0:
            own = {printable(file.path) for file in folder.files if file.label == label}
            example = next(item for item in quarantined if item.path in own)
            raise DatasetError(
                f"The class {name!r} in {folder.root} holds no readable picture: "
                f"{example.path}, for one, is refused ({example.reason.rstrip('.')})."
            )


def _copies(
    folder: PhotoFolder, groups: NDArray[np.int64], readable: NDArray[np.int64]
) -> tuple[tuple[Photo, ...], ...]:
    """List the groups of two or more photos that look the same."""
    common = [group for group, count in Counter(groups.tolist()).items() if count > 1]
    rows = [readable[groups == group].tolist() for group in common]
    return tuple(
        tuple(Photo(printable(folder.files[row].path), folder.files[row].label, row) for row in group) for group in rows
    )


def _report_duplicates(dataset: Dataset, progress: Progress) -> None:
    if dataset.duplicates:
        progress.say(
            f"Kept {dataset.duplicates:,} duplicates and near-duplicates on the same side of the split as their "
            "originals."
        )
    for paths in dataset.conflicts[:_EXAMPLES]:
        progress.say(f"  Photos that look the same lie in different classes: {', '.join(paths)}")


def data_fingerprint(labels: Sequence[int], classes: Sequence[str], decoded: Sequence[Decoded]) -> str:
    """Hash what was taught: every photo's class and content, whatever its name and place."""
    lines = sorted(f"{classes[label]}\0{item.sha256}" for label, item in zip(labels, decoded, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_fingerprint(train: Sequence[str], held_out: Sequence[str]) -> str:
    """Hash which photos, given by their SHA-256, are trained on and, in order, which are held out."""
    return hashlib.sha256("\n".join([*sorted(train), "", *held_out]).encode()).hexdigest()


def batched(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Cut `indices` into pieces of at most `size`."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
