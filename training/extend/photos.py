"""The photos to extend a checkpoint with: decoded as it is served, and labelled with the classes that it will know."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model import Checkpoint
from whisker.training.data.cache import decode_photos
from whisker.training.data.dataset import Dataset, Split
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.fingerprints import data_fingerprint, split_fingerprint
from whisker.training.data.folders.folder import PhotoFolder, find_photos
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.preparation import group_copies, quarantine, report_duplicates, require_readable
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class NewPhotos:
    """The photos, labelled with `dataset.classes`: the checkpoint's old classes and new ones, sorted.

    `old` `[C]` are the numbers that the checkpoint's C classes have there.
    """

    dataset: Dataset
    old: NDArray[np.int64]

    @property
    def photos(self) -> Split:
        """The photos at the serving size."""
        return self.dataset.test

    @property
    def counts(self) -> NDArray[np.int64]:
        """Count the photos of each class, `[classes]`."""
        return np.bincount(self.photos.labels, minlength=len(self.dataset.classes))

    @property
    def new(self) -> tuple[str, ...]:
        """Name the new classes."""
        return tuple(name for index, name in enumerate(self.dataset.classes) if index not in self.old)


def read_new_photos(
    root: Path, checkpoint: Checkpoint, work: Path, progress: Progress, labels_file: Path | LabelFile | None
) -> NewPhotos:
    """Find and decode the photos in `root`; raise `DatasetError` if none is of a class that `checkpoint` lacks."""
    folder = find_photos(root, min_classes=1, labels_file=labels_file)
    folder.say(progress)
    classes = tuple(sorted({*checkpoint.classes, *folder.classes}))
    if len(classes) == len(checkpoint.classes):
        raise DatasetError(
            f"{root} holds no class that {checkpoint.name} does not know already: put the photos of each new class "
            "into a folder of its own or, to improve the classes it knows, train on all their photos."
        )
    place = {name: index for index, name in enumerate(classes)}
    dataset = _prepare(folder, checkpoint, classes, work, progress)
    return NewPhotos(dataset, np.array([place[name] for name in checkpoint.classes], np.int64))


def _prepare(
    folder: PhotoFolder, checkpoint: Checkpoint, classes: tuple[str, ...], work: Path, progress: Progress
) -> Dataset:
    paths = [file.path for file in folder.files]
    pixels, decoded = decode_photos(folder.root, paths, checkpoint.preprocessing, work / "cache-served", progress)
    quarantined = quarantine(paths, decoded, progress)
    rows = np.flatnonzero([not item.error for item in decoded])
    own = np.array([file.label for file in folder.files], np.int64)
    require_readable(folder, np.bincount(own[rows], minlength=len(folder.classes)), quarantined)
    digests = [decoded[row].sha256 for row in rows]
    look_alikes = group_duplicates(pixels, rows, digests)
    places = np.array([classes.index(name) for name in folder.classes], np.int64)
    photos = Split(pixels, rows, places[own[rows]], tuple(paths[row] for row in rows), groups=look_alikes)
    dataset = Dataset(
        classes=classes,
        train=photos,
        validation=photos.take(np.empty(0, np.int64)),
        test=photos,
        served=photos,
        counts=tuple(np.bincount(photos.labels, minlength=len(classes)).tolist()),
        copies=tuple(
            tuple(replace(photo, labels=tuple(int(places[label]) for label in photo.labels)) for photo in group)
            for group in group_copies(folder, look_alikes, rows)
        ),
        groups=None,
        quarantined=quarantined,
        digests=frozenset(digests),
        fingerprint=data_fingerprint(
            [folder.files[row].labels for row in rows], folder.classes, [decoded[row] for row in rows]
        ),
        split=split_fingerprint(digests, []),
    )
    report_duplicates(dataset, progress)
    return dataset
