"""Outliers, the photos of anything else in `--outliers DIR`: calibration learns "unknown" from them."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from whisker.model.preprocessing import Preprocessing
from whisker.training.data.cache import decode_photos
from whisker.training.data.folders.walk import list_files
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_MIN_GROUPS = 5  # folders; with fewer, cross-validation by folder is not worthwhile


@dataclass(frozen=True, slots=True)
class Outliers:
    """Photos as uint8 `[M, size, size, 3]` pixels, the rows in use `[N]`, and the number of each one's group `[N]`.

    The photos of a sub-folder are a group, because they are often similar; without folders, each photo is a group.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]


def read_outliers(
    root: Path, preprocessing: Preprocessing, cache: Path, known: Collection[str], progress: Progress
) -> Outliers:
    """Decode every picture in `root`, at any depth, except those whose SHA-256 is in `known`, the training folder's.

    Raises `DatasetError` if there is no folder, if one in it cannot be read, or if it holds no such readable picture.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}: --outliers needs a folder of photos of anything else.")
    paths = list_files(root)
    pixels, decoded = decode_photos(root, paths, preprocessing, cache, progress, what="photos of other things")
    rows = np.flatnonzero([not item.error and item.sha256 not in known for item in decoded])
    if not len(rows):
        raise DatasetError(f"The folder {root} holds no readable picture of anything else: --outliers needs some.")
    unreadable = sum(bool(item.error) for item in decoded)
    also_known = len(decoded) - unreadable - len(rows)
    progress.say(
        f"Photos of other things: {len(rows):,}"
        + (f"; left out as unreadable: {unreadable:,}" if unreadable else "")
        + (f"; left out because they are also photos of known classes: {also_known:,}" if also_known else "")
        + "."
    )
    return Outliers(pixels, rows, _groups([paths[row] for row in rows]))


def _groups(paths: list[str]) -> NDArray[np.int64]:
    """Assign a group number to each photo: its top folder's or, if there are too few folders, its own."""
    tops = [parts[0] if len(parts := PurePosixPath(path).parts) > 1 else "" for path in paths]
    numbers = {name: index for index, name in enumerate(sorted(set(tops)))}
    if len(numbers) < _MIN_GROUPS:
        return np.arange(len(paths))
    return np.array([numbers[name] for name in tops])
