"""Every split has every label in its share, and no group is in two."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whisker.training.data.multi_label.split import split_label_groups
from whisker.training.data.split import SplitIndices
from whisker.training.errors import DatasetError

RATES = (0.5, 0.3, 0.1, 0.03)


def test_every_label_and_photos_without_one_have_their_shares() -> None:
    rng = np.random.default_rng(0)
    present = np.asarray(rng.uniform(size=(1_000, 4)) < RATES)
    bare: NDArray[np.bool_] = ~np.asarray(present.any(1), np.bool_)
    result = split_label_groups(present, np.arange(1_000), "abcd", seed=0, validation=0.1, test=0.2)
    for rows, share in [(result.train, 0.7), (result.validation, 0.1), (result.test, 0.2)]:
        assert present[rows].sum(0) == pytest.approx(share * present.sum(0), abs=3)
        assert bare[rows].sum() == pytest.approx(share * bare.sum(), abs=3)


@settings(deadline=None)  # a loaded machine is no fault
@given(seed=st.integers(0, 2**31), photos=st.integers(60, 120))
def test_splits_are_a_partition_that_no_group_crosses(seed: int, photos: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, photos // 2, photos)
    present = rng.uniform(size=(photos, 3)) < 0.5
    result = split_label_groups(present, groups, "abc", seed=seed, validation=0.2, test=0.2)
    splits = parts(result)
    assert sorted(np.concatenate(splits)) == list(range(photos))
    assert all(np.asarray(present)[rows].any(0).all() for rows in splits)
    held = [{*groups[rows].tolist()} for rows in splits]
    assert not held[0] & held[1]
    assert not (held[0] | held[1]) & held[2]


def parts(result: SplitIndices) -> list[list[int]]:
    return [rows.tolist() for rows in (result.train, result.validation, result.test)]


def test_few_photos_without_a_label_go_to_training() -> None:
    present = np.ones((40, 2), np.bool_)
    present[:2] = False
    result = split_label_groups(present, np.arange(40), "ab", seed=0, validation=0.2, test=0.2)
    assert {0, 1} <= {*result.train.tolist()}


def test_seed_chooses_the_split() -> None:
    present = np.random.default_rng(0).uniform(size=(100, 3)) < 0.5
    chosen = [
        parts(split_label_groups(present, np.arange(100), "abc", seed=seed, validation=0.2, test=0.2))
        for seed in (1, 1, 2)
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_label_of_two_groups_is_refused() -> None:
    present = np.ones((10, 2), np.bool_)
    present[4:, 1] = False
    with pytest.raises(DatasetError, match="The label 'rare' is in 2 different groups of photos"):
        split_label_groups(present, np.arange(10) // 2, ["common", "rare"], seed=0, validation=0.2, test=0.2)
