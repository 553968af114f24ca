"""Every fold has about as many photos of every label, and none has a look-alike in another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisker.training.errors import DatasetError
from whisker.training.transfer.multi_label.folds import assign_label_folds, count_label_folds, divide_labels


def test_every_label_is_spread_evenly() -> None:
    present = np.random.default_rng(0).uniform(size=(500, 4)) < (0.5, 0.3, 0.1, 0.02)
    folds = assign_label_folds(present, np.arange(500), 5, np.random.default_rng(1))
    counts = np.array([present[folds == fold].sum(0) for fold in range(5)])
    assert np.ptp(counts, axis=0).max() <= 3
    assert np.bincount(folds) == pytest.approx([100] * 5, abs=5)


def test_photos_without_a_label_are_spread_too() -> None:
    present = np.zeros((100, 2), np.bool_)
    present[:20, 0] = present[10:30, 1] = True
    folds = assign_label_folds(present, np.arange(100), 5, np.random.default_rng(0))
    assert np.bincount(folds[30:]) == pytest.approx([14] * 5, abs=2)


@settings(deadline=None)  # a loaded machine is no fault
@given(seed=st.integers(0, 2**31))
def test_groups_stay_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    present, groups = rng.uniform(size=(60, 3)) < 0.4, rng.integers(0, 30, 60)
    folds = assign_label_folds(present, groups, 4, rng)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in groups)
    assert {*folds.tolist()} == {0, 1, 2, 3}


def test_label_of_two_photos_is_in_two_folds() -> None:
    present = np.ones((20, 2), np.bool_)
    present[2:, 1] = False
    assert count_label_folds(present, np.arange(20), "ab") == 2
    divided = divide_labels(present, np.arange(20), folds=2, repeats=3, seed=0)
    assert divided.shape == (3, 20)
    assert (divided[:, 0] != divided[:, 1]).all()
    assert (divided[0] != divided[1]).any()


def test_label_of_one_group_is_refused() -> None:
    present = np.ones((6, 2), np.bool_)
    present[2:, 1] = False
    with pytest.raises(DatasetError, match="'rare' has only 1 different readable photo"):
        count_label_folds(present, np.arange(6) // 2, ["common", "rare"])


def test_no_label_is_wholly_held_out_because_of_its_groups() -> None:
    """Dealing the rarest label first put both groups of another into one fold, in every repeat."""
    groups = np.repeat(np.arange(5), (3, 3, 20, 1, 3))
    present = np.zeros((30, 4), np.bool_)
    present[:6, 0] = present[6:26, 1] = present[27:, 1] = True
    present[[0, 6], 2] = present[[3, 26], 3] = True
    for seed in range(5):
        divided = divide_labels(present, groups, folds=2, repeats=4, seed=seed)
        for label in range(4):
            assert all(len(np.unique(folds[present[:, label]])) == 2 for folds in divided)


def test_groups_that_leave_no_way_to_divide_are_refused() -> None:
    present = np.ones((9, 2), np.bool_)
    with pytest.raises(DatasetError, match="The groups are too large to hold some out"):
        divide_labels(present, np.zeros(9, np.int64), folds=2, repeats=1, seed=0)
