"""Classes with too few photos to learn from and to test with, which `--skip-small` leaves out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whisker.training.data.folders.folder import PhotoFolder
from whisker.training.data.split import members_of
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_MAX_NAMED = 10  # classes in a sentence


def find_small(
    labels: Sequence[tuple[int, ...]], groups: NDArray[np.int64], classes: int, *, needed: int, by_majority: bool
) -> set[int]:
    """Find the classes that fewer than `needed` groups are left for when photos of the others are taken away.

    A group counts for all classes that it has photos of or, `by_majority`, for the one of most of them.
    """
    small: set[int] = set()
    while True:
        counts = np.zeros(classes, np.int64)
        for photos in members_of(groups):
            held = [label for index in photos for label in labels[index] if label not in small]
            if held:
                counts[[np.bincount(held).argmax()] if by_majority else sorted(set(held))] += 1
        fresh = set(np.flatnonzero(counts < needed).tolist()) - small
        if not fresh:
            return small
        small |= fresh


def without_classes(folder: PhotoFolder, small: set[int], progress: Progress) -> PhotoFolder:
    """Take classes away, and say which; their files are left without a label.

    Raises `DatasetError` if fewer than two classes are left.
    """
    if not small:
        return folder
    kept = [label for label in range(len(folder.classes)) if label not in small]
    names = [folder.classes[label] for label in sorted(small)]
    more = len(names) - _MAX_NAMED
    named = ", ".join(names[:_MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    if len(kept) < 2:
        raise DatasetError(f"With --skip-small, fewer than two classes are left: these are too small: {named}.")
    progress.say(f"Skipped {len(names):,} of {len(folder.classes):,} classes, which have too few photos: {named}.")
    number = {label: index for index, label in enumerate(kept)}
    files = tuple(
        replace(file, labels=tuple(number[label] for label in file.labels if label in number)) for file in folder.files
    )
    return replace(folder, classes=tuple(folder.classes[label] for label in kept), files=files)


def renumbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each group the position of its first photo as its number."""
    _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
    return first[member_of]
