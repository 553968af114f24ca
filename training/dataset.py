"""A folder of photos made ready: decoded, freed of duplicates across sides, and split."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.preprocessing import Preprocessing
from training.config import TrainingConfig, cache_size
from training.data import (
    Decoded,
    PhotoFolder,
    data_fingerprint,
    decode_photos,
    find_photos,
    printable,
    split_fingerprint,
)
from training.duplicates import group_duplicates
from training.errors import DatasetError
from training.loop import Side
from training.progress import Progress
from training.split import split_photos

_EXAMPLES = 5  # quarantined files named on the screen; all of them are in the report


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The three sides, and what was noticed on the way.

    Training pixels are a quarter larger than the serving size, for sharp crops; the other two sides have it exactly.
    """

    classes: tuple[str, ...]
    train: Side
    validation: Side
    test: Side
    counts: tuple[int, ...]  # readable photos a class
    duplicates: int  # photos that are a copy, or nearly, of another
    conflicts: tuple[tuple[str, ...], ...]  # duplicates that lie in different classes
    quarantined: tuple[Quarantined, ...]
    fingerprint: str
    split: str  # a hash of which photos stand on which side


def prepare_dataset(root: Path, config: TrainingConfig, work: Path, progress: Progress) -> Dataset:
    """Scan, decode, group and split the photos of `root`, with caches in `work`.

    Raises `DatasetError` where the folder cannot be trained on.
    """
    folder = find_photos(root)
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
    conflicts = _conflicts(folder, labels[readable], groups, readable)
    _report_duplicates(groups, conflicts, progress)
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
    return Dataset(
        classes=folder.classes,
        train=Side(pixels, train_rows, labels[train_rows]),
        validation=Side(held_out_pixels, rows[:cut], labels[held_out[:cut]]),
        test=Side(held_out_pixels, rows[cut:], labels[held_out[cut:]]),
        counts=tuple(int(count) for count in counts),
        duplicates=len(groups) - len(np.unique(groups)),
        conflicts=conflicts,
        quarantined=quarantined,
        fingerprint=_fingerprint(folder, decoded, readable, labels),
        split=split_fingerprint([decoded[i].sha256 for i in train_rows], [decoded[i].sha256 for i in held_out]),
    )


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
    for name, count in zip(folder.classes, counts, strict=True):
        if count == 0:
            example = next(item for item in quarantined if item.path.startswith(f"{name}/"))
            raise DatasetError(
                f"The class folder {folder.root / name} holds no readable picture: "
                f"{example.path.removeprefix(f'{name}/')}, for one, is refused ({example.reason.rstrip('.')})."
            )


def _conflicts(
    folder: PhotoFolder, labels: NDArray[np.int64], groups: NDArray[np.int64], readable: NDArray[np.int64]
) -> tuple[tuple[str, ...], ...]:
    """List the groups of duplicates whose photos lie in more than one class: at least one label is wrong."""
    common = [group for group, count in Counter(groups.tolist()).items() if count > 1]
    members = [np.flatnonzero(groups == group) for group in common]
    return tuple(
        tuple(printable(folder.files[readable[index]].path) for index in photos)
        for photos in members
        if len(np.unique(labels[photos])) > 1
    )


def _report_duplicates(groups: NDArray[np.int64], conflicts: tuple[tuple[str, ...], ...], progress: Progress) -> None:
    copies = len(groups) - len(np.unique(groups))
    if copies:
        progress.say(
            f"Kept {copies:,} duplicates and near-duplicates on the same side of the split as their originals."
        )
    for paths in conflicts[:_EXAMPLES]:
        progress.say(f"  Photos that look the same lie in different classes: {', '.join(paths)}")
