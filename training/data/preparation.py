"""From a folder of photos to a dataset: found, decoded, grouped by duplicates, and split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.plain_text import printable
from whisker.training.config import TrainingConfig, cache_size
from whisker.training.data.cache import Decoded, decode_photos
from whisker.training.data.dataset import MANY_LABELS, Dataset, DuplicatePhoto, Quarantined, Split, decode_served
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.fingerprints import data_fingerprint, hash_split
from whisker.training.data.folders.folder import PhotoFolder, find_photos, label_matrix
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.folders.names import SIDES
from whisker.training.data.groups import join_groups
from whisker.training.data.multi_label.split import split_label_groups
from whisker.training.data.sides import report_sides, split_by_sides
from whisker.training.data.small_classes import find_small, renumbered, without_classes
from whisker.training.data.split import SKIP_SMALL, SplitIndices, split_groups, split_photos
from whisker.training.errors import DatasetError
from whisker.training.events.event import Stage
from whisker.training.progress import Progress

_MAX_EXAMPLES = 5  # quarantined files named on the screen; all of them are in the report


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
    groups = None
    if config.groups is not None:
        groups = join_groups([folder.files[row].group for row in readable], look_alikes)
        groups.report(config.groups, progress)
    numbers = look_alikes if groups is None else groups.numbers
    whole = _whole(pixels, readable, numbers, folder, config)
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
        counts=tuple(int(count) for count in _count(folder, readable)),
        copies=group_copies(folder, look_alikes, readable),
        groups=groups,
        sides=tuple(side for side in SIDES if folder.is_divided and side in folder.sides.values()),
        quarantined=quarantined,
        digests=frozenset(digests),
        fingerprint=data_fingerprint(
            [folder.files[row].labels for row in readable], folder.classes, [decoded[row] for row in readable]
        ),
        split=hash_split(train, held_out, decoded, config),
    )
    report_duplicates(dataset, progress, divided=folder.is_divided)
    return dataset


def _whole(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    groups: NDArray[np.int64],
    folder: PhotoFolder,
    config: TrainingConfig,
) -> Split:
    """Give the readable photos, those of `rows`, before they are split."""
    files = [folder.files[row] for row in rows]
    labels = [file.labels for file in files]
    single = np.array([MANY_LABELS if config.multi_label else several[0] for several in labels], dtype=np.int64)
    present = label_matrix(labels, len(folder.classes)) if config.multi_label else None
    return Split(pixels, rows, single, tuple(file.path for file in files), groups=groups, present=present)


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


def _divide(held_out: Split, validation: int) -> tuple[Split, Split]:
    """Divide the held-out photos: the first `validation` of them, and the test photos after them."""
    positions = np.arange(len(held_out.rows))
    return held_out.take(positions[:validation]), held_out.take(positions[validation:])


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
