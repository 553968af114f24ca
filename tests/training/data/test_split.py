import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisker.training.data.split import SplitIndices, split_photos
from whisker.training.errors import DatasetError


def split(labels: list[int], groups: list[int], seed: int = 0, classes: int = 2) -> SplitIndices:
    names = [f"class {index}" for index in range(classes)]
    return split_photos(np.array(labels), np.array(groups), names, seed=seed, validation=0.1, test=0.1)


@given(
    sizes=st.lists(st.lists(st.integers(1, 4), min_size=3, max_size=40), min_size=2, max_size=4),
    seed=st.integers(0, 2**31),
)
def test_splits_are_a_partition_that_no_group_crosses(sizes: list[list[int]], seed: int) -> None:
    labels: list[int] = []
    groups: list[int] = []
    for label, members in enumerate(sizes):
        for size in members:
            group = len(labels)
            labels += [label] * size
            groups += [group] * size
    result = split(labels, groups, seed, len(sizes))
    splits = [result.train, result.validation, result.test]
    assert sorted(np.concatenate(splits)) == list(range(len(labels)))
    for rows in splits:
        assert set(np.array(labels)[rows]) == set(range(len(sizes)))
    group_sets = [set(np.array(groups)[rows]) for rows in splits]
    assert not group_sets[0] & group_sets[1]
    assert not group_sets[0] & group_sets[2]
    assert not group_sets[1] & group_sets[2]


def test_every_class_has_its_fractions() -> None:
    labels = [0] * 1000 + [1] * 200
    result = split(labels, list(range(1200)))
    for rows, share in [(result.test, 0.1), (result.validation, 0.1), (result.train, 0.8)]:
        counts = np.bincount(np.array(labels)[rows])
        assert counts == pytest.approx([1000 * share, 200 * share], abs=2)


def test_seed_chooses_the_split() -> None:
    labels, groups = [0, 1] * 50, list(range(100))
    assert split(labels, groups, 1).test.tolist() == split(labels, groups, 1).test.tolist()
    assert split(labels, groups, 1).test.tolist() != split(labels, groups, 2).test.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_large_groups_go_to_training(seed: int) -> None:
    groups = [0] * 60 + list(range(60, 100)) + list(range(100, 200))
    result = split([0] * 100 + [1] * 100, groups, seed)
    assert not set(range(60)) & {*result.test, *result.validation}
    assert np.bincount(np.array([0] * 100 + [1] * 100)[result.test]) == pytest.approx([10, 10], abs=2)


def test_class_with_two_different_photos_is_refused() -> None:
    with pytest.raises(DatasetError, match="'class 1' has 2 different"):
        split([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 4])
