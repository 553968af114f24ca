"""Photos of anything else: what `--outliers DIR` gives, to learn what "unknown" looks like."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from whisker.model.photo_files import list_files
from whisker.model.preprocessing import Preprocessing
from whisker.training.data.cache import decode_photos
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_MIN_GROUPS = 5  # folders that make cross-validation by folder worthwhile


@dataclass(frozen=True, slots=True)
class Outliers:
    """uint8 `[M, size, size, 3]` pixels, the rows in use `[N]`, and the number of each one's group `[N]`.

    A group is a sub-folder's photos, for photos of one kind of thing are often alike; without folders it is one photo.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]


def read_outliers(
    root: Path, preprocessing: Preprocessing, cache: Path, known: Collection[str], progress: Progress
) -> Outliers:
    """Decode every picture in `root`, at any depth; those whose SHA-256 is among the `known` photos' are left out.

    Raises `DatasetError` if there is no folder or no readable picture in it.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}: --outliers needs a folder of photos of anything else.")
    paths = list_files(root)
    pixels, decoded = decode_photos(root, paths, preprocessing, cache, progress)
    rows = np.flatnonzero([not item.error and item.sha256 not in known for item in decoded])
    if not len(rows):
        raise DatasetError(f"The folder {root} holds no readable picture of anything else: --outliers needs some.")
    unreadable = sum(bool(item.error) for item in decoded)
    taught = len(decoded) - unreadable - len(rows)
    progress.say(
        f"Photos of other things: {len(rows):,}"
        + (f"; left out as unreadable: {unreadable:,}" if unreadable else "")
        + (f"; left out, as they are among the photos of known classes: {taught:,}" if taught else "")
        + "."
    )
    return Outliers(pixels, rows, _groups([paths[row] for row in rows]))


def _groups(paths: list[str]) -> NDArray[np.int64]:
    """Give each photo the number of its top folder, or, where there are too few of those, one of its own."""
    tops = [parts[0] if len(parts := PurePosixPath(path).parts) > 1 else "" for path in paths]
    numbers = {name: index for index, name in enumerate(sorted(set(tops)))}
    if len(numbers) < _MIN_GROUPS:
        return np.arange(len(paths))
    return np.array([numbers[name] for name in tops])
