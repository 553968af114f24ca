"""Splits by the sides that a folder has: its own where they are, and photos of the training side where they are not."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whisker.model.plain_text import printable
from whisker.training.data.folders.names import SIDES, Side
from whisker.training.data.split import SplitIndices, members_of
from whisker.training.progress import Progress


def split_by_sides(
    sides: Sequence[Side | None], split_pool: Callable[[NDArray[np.int64]], SplitIndices]
) -> SplitIndices:
    """Take the sides `[N]` as splits; `split_pool` divides the positions of the training side if one is missing."""
    numbers = np.array([SIDES.index(side or "train") for side in sides], np.int64)
    pool, validation, test = (np.flatnonzero(numbers == number) for number in range(len(SIDES)))
    if len(validation) and len(test):
        return SplitIndices(pool, validation, test)
    own = split_pool(pool)
    if len(validation):
        return SplitIndices(pool[np.sort(np.concatenate([own.train, own.validation]))], validation, pool[own.test])
    if len(test):
        return SplitIndices(pool[np.sort(np.concatenate([own.train, own.test]))], pool[own.validation], test)
    return SplitIndices(pool[own.train], pool[own.validation], pool[own.test])


def report_sides(
    sides: Sequence[Side | None], groups: NDArray[np.int64], files: Sequence[str], progress: Progress
) -> None:
    """Say which sides are missing, and how many photos look the same as photos of another side."""
    missing = [side for side in SIDES if side not in sides]
    if missing:
        progress.say(f"Without photos of their own: {' and '.join(missing)}. Some of train are set aside for that.")
    leaks = [photos for photos in members_of(groups) if len({sides[index] for index in photos}) > 1]
    if leaks:
        count, first = sum(map(len, leaks)), leaks[0]
        other = next(index for index in first if sides[index] != sides[first[0]])
        pair = f"{files[first[0]]} and {files[other]}"
        progress.say(
            f"{count:,} photos look the same as photos of another side, or are of one group with them, "
            f"{printable(pair)} first: the figures may be too good. `whisker doctor` lists those that look the same."
        )
