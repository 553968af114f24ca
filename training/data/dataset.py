"""A folder of photos, ready to train on: decoded, grouped by duplicates, and split."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.plain_text import printable
from whisker.model.preprocessing import Preprocessing
from whisker.training.config import TrainingConfig, cache_size
from whisker.training.data.cache import Decoded, decode_photos
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.folders.folder import PhotoFolder, find_photos, label_matrix
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.folders.names import SIDES, Side
from whisker.training.data.groups import PhotoGroups, join_groups
from whisker.training.data.multi_label.split import split_label_groups
from whisker.training.data.sides import report_sides, split_by_sides
from whisker.training.data.small_classes import find_small, renumbered, without_classes
from whisker.training.data.split import SKIP_SMALL, SplitIndices, split_groups, split_photos
from whisker.training.errors import DatasetError
from whisker.training.events.event import Stage
from whisker.training.progress import Progress

MANY_LABELS = -1  # a photo's label where it may have any number of them
_MAX_EXAMPLES = 5  # quarantined files named on the screen; all of them are in the report


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


def prepare_dataset(
    root: Path,
    config: TrainingConfig,
    work: Path,
    progress: Progress,
    labels_file: Path | LabelFile | None = None,
    *,
    skip_small: bool = False,
) -> Dataset:
    """Find, decode, group and split the photos of `root`, with caches in `work`; `labels_file` is as in `find_photos`.

    Classes with too few photos are left out if they are to be skipped. Raises `DatasetError` if the folder cannot be
    trained on.
    """
    folder = find_photos(
        root, labels_file=labels_file, grouping=config.groups, multi_label=config.multi_label, skip_small=skip_small
    )
    folder.say(progress)
    _require_splits(folder, config)
    paths = [file.path for file in folder.files]
    source = replace(config.preprocessing, size=cache_size(config.network.size))
    pixels, decoded = decode_photos(root, paths, source, work / "cache-train", progress, what="photos")
    quarantined = quarantine(paths, decoded, progress)
    readable = np.flatnonzero([not item.error for item in decoded])
    if not skip_small:
        require_readable(folder, _count(folder, readable), quarantined)
    digests = [decoded[index].sha256 for index in readable]
    progress.say(f"Looking for duplicates among {len(readable):,} photos.")
    progress.tell(Stage("Looking for duplicates"))
    look_alikes = group_duplicates(pixels, readable, digests)
    if skip_small:
        folder, kept = skip_small_classes(folder, readable, look_alikes, config, progress)
        readable, look_alikes = readable[kept], renumbered(look_alikes[kept])
        digests = [decoded[index].sha256 for index in readable]
    labels = [folder.files[row].labels for row in readable]
    counts = _count(folder, readable)
    groups = None
    if config.groups is not None:
        groups = join_groups([folder.files[row].group for row in readable], look_alikes)
        groups.report(config.groups, progress)
    files = tuple(paths[row] for row in readable)
    numbers = look_alikes if groups is None else groups.numbers
    whole = Split(pixels, readable, _single_labels(labels, config), files, groups=numbers)
    if config.multi_label:
        whole = replace(whole, present=label_matrix(labels, len(folder.classes)))
    indices = _split(whole, folder, config)
    if folder.is_divided:
        report_sides([folder.files[row].side for row in readable], numbers, whole.paths, progress)
    train, held_out = whole.take(indices.train), whole.take(np.concatenate([indices.validation, indices.test]))
    served = None
    if config.transfer is not None:
        served = decode_served(root, train, config.preprocessing, work / "cache-served", progress)
    if config.cross_validated and served is not None:
        validation, test = served.take(indices.validation), served
    else:
        aside = decode_served(root, held_out, config.preprocessing, work / "cache-test", progress)
        validation, test = _divide(aside, len(indices.validation))
    dataset = Dataset(
        classes=folder.classes,
        train=train,
        validation=validation,
        test=test,
        served=served,
        counts=tuple(int(count) for count in counts),
        copies=group_copies(folder, look_alikes, readable),
        groups=groups,
        sides=tuple(side for side in SIDES if folder.is_divided and side in folder.sides.values()),
        quarantined=quarantined,
        digests=frozenset(digests),
        fingerprint=data_fingerprint(labels, folder.classes, [decoded[row] for row in readable]),
        split=_hash_split(train, held_out, decoded, config),
    )
    report_duplicates(dataset, progress, divided=folder.is_divided)
    return dataset


def _single_labels(labels: Sequence[tuple[int, ...]], config: TrainingConfig) -> NDArray[np.int64]:
    """Give the one label of each photo, if the training is one of single labels."""
    return np.array([MANY_LABELS if config.multi_label else label[0] for label in labels], dtype=np.int64)


def _count(folder: PhotoFolder, readable: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the readable photos of each class; one with several labels counts for each."""
    labels = [label for row in readable for label in folder.files[row].labels]
    return np.bincount(np.array(labels, np.int64), minlength=len(folder.classes))


def _require_splits(folder: PhotoFolder, config: TrainingConfig) -> None:
    """Refuse to test photos of all sides in turn where the folder sets some aside."""
    if folder.is_divided and config.cross_validated:
        raise DatasetError(
            f"{folder.root} sets photos aside itself, in {', '.join(folder.sides)}, and this training would learn from "
            "all of them: give the folder of the training side alone."
        )


def skip_small_classes(
    folder: PhotoFolder,
    readable: NDArray[np.int64],
    look_alikes: NDArray[np.int64],
    config: TrainingConfig,
    progress: Progress,
) -> tuple[PhotoFolder, NDArray[np.int64]]:
    """Take away the classes that are too small for the splits; give the positions of the photos that are left, too."""
    files = [folder.files[row] for row in readable]
    groups = look_alikes if config.groups is None else join_groups([file.group for file in files], look_alikes).numbers
    pool = np.flatnonzero([file.side in (None, "train") for file in files])
    needed = 2 if config.cross_validated else 1 if {*folder.sides.values()} == {*SIDES} else 3
    small = find_small(
        [files[index].labels for index in pool],
        groups[pool],
        len(folder.classes),
        needed=needed,
        by_majority=needed == 3 and config.groups is None and not config.multi_label,
    )
    reduced = without_classes(folder, small, progress)
    kept = [bool(reduced.files[row].labels) or not folder.files[row].labels for row in readable]
    return reduced, np.flatnonzero(kept)


def _split(photos: Split, folder: PhotoFolder, config: TrainingConfig) -> SplitIndices:
    if config.cross_validated:
        nothing = np.empty(0, np.int64)
        return SplitIndices(np.arange(len(photos.rows)), nothing, nothing)
    if not folder.is_divided:
        return _split_pool(photos, folder.classes, config)
    sides = [folder.files[row].side for row in photos.rows]
    indices = split_by_sides(sides, lambda pool: _split_pool(photos.take(pool), folder.classes, config))
    trained = photos.take(indices.train).count_classes(len(folder.classes))
    if not trained.all():
        name = folder.classes[int(trained.argmin())]
        raise DatasetError(f"The class {name!r} has no readable photo to train with: {SKIP_SMALL}.")
    return indices


def _split_pool(photos: Split, classes: Sequence[str], config: TrainingConfig) -> SplitIndices:
    """Split photos by the shares of the configuration."""
    shares = {"validation": config.validation, "test": config.test}
    if config.multi_label:
        return split_label_groups(photos.require_present(), photos.groups, classes, seed=config.seed, **shares)
    split = split_photos if config.groups is None else split_groups
    return split(photos.labels, photos.groups, classes, seed=config.seed, **shares)


def _hash_split(train: Split, held_out: Split, decoded: Sequence[Decoded], config: TrainingConfig) -> str:
    """Hash which photo is in which split; with cross-validation, which answer for a held-out photo belongs to which."""
    digests, others = ([decoded[row].sha256 for row in split.rows] for split in (train, held_out))
    if config.cross_validated:
        labels = train.labels[:, None] if train.present is None else train.present.astype(int)
        numbers = (" ".join(map(str, row)) for row in labels.tolist())
        return split_fingerprint([], [f"{several} {it}" for several, it in zip(numbers, digests, strict=True)])
    return split_fingerprint(digests, others)


def _divide(held_out: Split, validation: int) -> tuple[Split, Split]:
    """Divide the held-out photos: the first `validation` of them, and the test photos after them."""
    positions = np.arange(len(held_out.rows))
    return held_out.take(positions[:validation]), held_out.take(positions[validation:])


def decode_served(root: Path, photos: Split, preprocessing: Preprocessing, cache: Path, progress: Progress) -> Split:
    """Decode photos as a service with this preprocessing sees them."""
    pixels, _ = decode_photos(root, photos.files, preprocessing, cache, progress)
    return replace(photos, pixels=pixels, rows=np.arange(len(photos.rows)))


def quarantine(paths: Sequence[str], decoded: Sequence[Decoded], progress: Progress) -> tuple[Quarantined, ...]:
    """List and report the files that did not decode."""
    quarantined = tuple(
        Quarantined(printable(path), item.error) for path, item in zip(paths, decoded, strict=True) if item.error
    )
    if quarantined:
        progress.say(
            f"Left out {len(quarantined):,} of {len(paths):,} files that cannot be used (all are in the report):"
        )
    for item in quarantined[:_MAX_EXAMPLES]:
        progress.say(f"  {item.path}: {item.reason}")
    return quarantined


def require_readable(folder: PhotoFolder, counts: NDArray[np.int64], quarantined: tuple[Quarantined, ...]) -> None:
    """Refuse a class without any readable photo."""
    for label, (name, count) in enumerate(zip(folder.classes, counts, strict=True)):
        if count == 0:
            own = {printable(file.path) for file in folder.files if label in file.labels}
            example = next(item for item in quarantined if item.path in own)
            raise DatasetError(
                f"The class {name!r} in {folder.root} holds no readable picture: {example.path}, for one, is refused "
                f"({example.reason.rstrip('.')}). Pass over such classes with --skip-small."
            )


def group_copies(
    folder: PhotoFolder, groups: NDArray[np.int64], readable: NDArray[np.int64]
) -> tuple[tuple[DuplicatePhoto, ...], ...]:
    """List the groups of two or more photos that look the same."""
    common = [group for group, count in Counter(groups.tolist()).items() if count > 1]
    rows = [readable[groups == group].tolist() for group in common]
    return tuple(
        tuple(DuplicatePhoto(printable(folder.files[row].path), folder.files[row].labels, row) for row in group)
        for group in rows
    )


def report_duplicates(dataset: Dataset, progress: Progress, *, divided: bool = False) -> None:
    """Say how many photos look the same as others, and which of those have different labels.

    In a `divided` folder, photos stay in their side.
    """
    if dataset.duplicates and divided:
        progress.say(f"Found {dataset.duplicates:,} duplicates and near-duplicates; each photo stays in its side.")
    elif dataset.duplicates:
        progress.say(
            f"Kept {dataset.duplicates:,} duplicates and near-duplicates in the same split as their originals."
        )
    for paths in dataset.conflicts[:_MAX_EXAMPLES]:
        progress.say(f"  Photos that look the same are in different classes: {', '.join(paths)}")


def data_fingerprint(labels: Sequence[Sequence[int]], classes: Sequence[str], decoded: Sequence[Decoded]) -> str:
    """Hash the data: every photo's labels and content, regardless of its name and folder."""
    named = ("\0".join(classes[label] for label in several) for several in labels)
    lines = sorted(f"{names}\0{item.sha256}" for names, item in zip(named, decoded, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_fingerprint(train: Sequence[str], held_out: Sequence[str]) -> str:
    """Hash the SHA-256 of the training photos, sorted, and of the held-out photos, in their order."""
    return hashlib.sha256("\n".join([*sorted(train), "", *held_out]).encode()).hexdigest()


def batched(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield `indices` in batches of at most `size`."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
