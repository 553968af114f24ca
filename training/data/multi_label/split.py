"""Seeded splits of photos with any number of labels: every label in its shares, no group of photos in two splits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whisker.training.data.split import SKIP_SMALL, Group, SplitIndices, deal_groups, members_of
from whisker.training.errors import DatasetError

_SPLITS = 3


def split_label_groups(
    present: NDArray[np.bool_],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    *,
    seed: int,
    validation: float,
    test: float,
) -> SplitIndices:
    """Split N photos with labels `present` `[N, classes]`; every split gets photos of every label.

    The fractions are of every label's photos, and of those without a label, and kept as far as the groups allow. Raises
    `DatasetError` for a label in fewer than three groups, or if no way is found to give every split every label.
    """
    members = members_of(groups)
    _require_enough(np.array([present[photos].any(0) for photos in members]), classes)
    bare = ~present.any(1)
    if len(np.unique(groups[bare])) >= _SPLITS:  # fewer cannot be in every split
        present = np.column_stack([present, bare])
    totals = present.sum(0)
    parts = []
    for photos in members:
        counts = present[photos].sum(0)
        held = np.flatnonzero(counts)
        parts.append(Group(photos, held, counts[held] / totals[held]))
    indices = deal_groups(parts, present.shape[1], seed=seed, validation=validation, test=test)
    if indices is None:
        raise DatasetError(
            "No way was found to divide the photos so that training, validation and test each have some of every "
            "label: add photos of the rare labels or, with --groups, use smaller groups."
        )
    return indices


def _require_enough(held: NDArray[np.bool_], classes: Sequence[str]) -> None:
    """Raise `DatasetError` for a label in fewer than three groups, which hold labels `[groups, classes]`."""
    holders = held.sum(0)
    scarce, count = int(holders.argmin()), int(holders.min())
    if count < _SPLITS:
        raise DatasetError(
            f"The label {classes[scarce]!r} is in {count} different groups of photos, where look-alikes are one group: "
            f"it needs at least 3, one each to train, to validate and to test with: {SKIP_SMALL}."
        )
