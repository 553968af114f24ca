"""Folds of a cross-validation: stratified by class, with groups of look-alikes kept together."""

import numpy as np
from numpy.typing import NDArray


def assign_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign each of N photos to one of `folds`, as evenly in every class as their groups allow: int64 `[N]`.

    Groups are dealt in random order, the largest first, each to the fold that has the fewest photos of its class.
    """
    classes = int(labels.max()) + 1
    numbers, member_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(numbers), classes), np.int64)  # photos of each class in each group
    np.add.at(counts, (member_of, labels), 1)
    order = rng.permutation(len(numbers))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    dealt = np.zeros((folds, classes), np.int64)
    fold_of = np.empty(len(numbers), np.int64)
    for group in order:
        own = counts[group]
        load = dealt[:, own > 0].sum(1) * len(labels) + dealt.sum(1)  # the whole fold decides between equals
        fold = int(rng.permutation(np.flatnonzero(load == load.min()))[0])
        fold_of[group] = fold
        dealt[fold] += own
    return fold_of[member_of]
