"""A seeded, stratified split by groups of duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.training.errors import DatasetError


@dataclass(frozen=True, slots=True)
class SplitIndices:
    """Sorted indices of the photos in each split; the test split is used once, after everything is chosen."""

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
    """Split photos by the given fractions of every class, as far as its groups allow; no group is in two splits.

    Groups of more than a quarter of a split go to training. A group belongs to the class of most of its photos. Raises
    `DatasetError` for a class with fewer than three groups: each split needs one.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    majority = np.array([np.bincount(labels[photos]).argmax() for photos in members])
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for label, name in enumerate(classes):
        order = rng.permutation(np.flatnonzero(majority == label))
        if len(order) < 3:
            raise DatasetError(
                f"The class {name!r} has {len(order)} different readable photos, not counting duplicates: "
                "it needs at least 3, one each to train, to validate and to test with."
            )
        # A large group is one picture many times: in the test split it would count as many questions.
        sizes = np.array([len(members[group]) for group in order])
        order = order[np.argsort(sizes > max(1, min(test, validation) * sizes.sum() / 4), kind="stable")]
        photos = np.cumsum([len(members[group]) for group in order])
        first, second = np.searchsorted(photos, [test * photos[-1], (test + validation) * photos[-1]]) + 1
        first = np.clip(first, 1, len(order) - 2)  # every split gets a group
        second = np.clip(second, first + 1, len(order) - 1)
        chosen = np.split(order, [first, second])
        parts.append(tuple(np.concatenate([members[group] for group in part]) for part in chosen))
    test_rows, validation_rows, train_rows = (np.sort(np.concatenate(part)) for part in zip(*parts, strict=True))
    return SplitIndices(train_rows, validation_rows, test_rows)
