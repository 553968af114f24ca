"""A seeded, stratified split by groups of duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.training.errors import DatasetError


@dataclass(frozen=True, slots=True)
class SplitIndices:
    """Sorted indices of the photos on each side; the test side is looked at once, after everything is chosen."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_photos(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    *,
    seed: int,
    validation: float,
    test: float,
) -> SplitIndices:
    """Divide photos so that every class has its fractions, as far as its groups allow, and no group is on two sides.

    Groups of more than a quarter of a side go to training. A group belongs to the class of most of its photos. Raises
    `DatasetError` for a class with fewer than three groups: each side needs one.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    majority = np.array([np.bincount(labels[photos]).argmax() for photos in members])
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for label, name in enumerate(classes):
        order = rng.permutation(np.flatnonzero(majority == label))
        if len(order) < 3:
            raise DatasetError(
                f"The class {name!r} has {len(order)} different readable photos, duplicates left out: "
                "it needs at least 3, one each to train, to validate and to test with."
            )
        # A large group is one picture many times over: as a test it would be one question asked often.
        sizes = np.array([len(members[group]) for group in order])
        order = order[np.argsort(sizes > max(1, min(test, validation) * sizes.sum() / 4), kind="stable")]
        photos = np.cumsum([len(members[group]) for group in order])
        first, second = np.searchsorted(photos, [test * photos[-1], (test + validation) * photos[-1]]) + 1
        first = np.clip(first, 1, len(order) - 2)  # every side gets a group
        second = np.clip(second, first + 1, len(order) - 1)
        sides = np.split(order, [first, second])
        parts.append(tuple(np.concatenate([members[group] for group in side]) for side in sides))
    test_side, validation_side, train_side = (np.sort(np.concatenate(side)) for side in zip(*parts, strict=True))
    return SplitIndices(train_side, validation_side, test_side)
