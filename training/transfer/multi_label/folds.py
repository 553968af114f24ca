"""Folds of a cross-validation of photos with any number of labels: every label spread over all of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whisker.training.errors import DatasetError
from whisker.training.transfer.cross_validation import GROUPS_TOO_LARGE, TRIES, require_folds


def count_label_folds(present: NDArray[np.bool_], groups: NDArray[np.int64], classes: Sequence[str]) -> int:
    """Choose how many folds there can be for labels `present` `[N, classes]`; raise as `require_folds` does."""
    return require_folds([len(np.unique(groups[having])) for having in present.T], classes)


def divide_labels(
    present: NDArray[np.bool_], groups: NDArray[np.int64], *, folds: int, repeats: int, seed: int
) -> NDArray[np.int64]:
    """Assign a fold to each of N photos, anew in every repeat: `[repeats, N]`.

    Raises `DatasetError` if groups leave no way to hold out a fold without a whole label.
    """
    rngs = [np.random.default_rng((seed, 5, i)) for i in range(repeats)]
    return np.stack([_spread(present, groups, folds, rng) for rng in rngs])


def _spread(
    present: NDArray[np.bool_], groups: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Divide once; if that puts all photos of a label into one fold, try at random."""
    fold_of = assign_label_folds(present, groups, folds, rng)
    numbers, member_of = np.unique(groups, return_inverse=True)
    for _ in range(TRIES):
        if all(len(np.unique(fold_of[having])) > 1 for having in present.T if having.any()):
            return fold_of
        fold_of = (rng.permutation(len(numbers)) % folds)[member_of]
    raise DatasetError(GROUPS_TOO_LARGE)


def assign_label_folds(
    present: NDArray[np.bool_], groups: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign each of N photos to one of `folds`, every label as evenly as their groups allow: int64 `[N]`.

    The label with the fewest photos left is dealt first, its largest groups first, each to the fold that has the fewest
    photos of it: iterative stratification (Sechidis et al. 2011), with groups for photos. Those without a label come
    last.
    """
    numbers, member_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(numbers), present.shape[1] + 1), np.int64)  # photos of each label, and all, in each group
    np.add.at(counts, member_of, np.column_stack([present, np.ones(len(present), np.bool_)]))
    dealt = np.zeros((folds, counts.shape[1]), np.int64)
    fold_of = np.full(len(numbers), -1)
    order = rng.permutation(len(numbers))
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    while (left := order[fold_of[order] < 0]).size:
        label = _rarest(counts[left, :-1].sum(0))
        for group in left[counts[left, label] > 0]:
            load = dealt[:, label] * (len(present) + 1) + dealt[:, -1]  # the whole fold decides between equals
            fold = int(rng.permutation(np.flatnonzero(load == load.min()))[0])
            fold_of[group] = fold
            dealt[fold] += counts[group]
    return fold_of[member_of]


def _rarest(left: NDArray[np.int64]) -> int:
    """Find the label with the fewest photos `left` `[classes]`, but some; -1, for all photos, if there is none."""
    having = np.flatnonzero(left)
    return int(having[left[having].argmin()]) if len(having) else -1
