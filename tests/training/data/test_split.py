import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from whisker.training.data.split import SplitIndices, split_groups, split_photos
from whisker.training.errors import DatasetError


def holdings_of(classes: int) -> st.SearchStrategy[list[int]]:
    """Make counts of a group's photos, by class."""
    return st.lists(st.integers(0, 3), min_size=classes, max_size=classes).filter(any)


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


def test_split_without_named_groups_is_as_it_has_always_been() -> None:
    """Checkpoints find the photos that they were not trained on by repeating their split."""
    result = split([0] * 14 + [1] * 11, [0, 0, 0, *range(3, 14), 13, *range(15, 25)], seed=7)
    assert result.test.tolist() == [6, 8, 18]
    assert result.validation.tolist() == [12, 23]


def deal(holdings: Sequence[Sequence[int]], seed: int = 0) -> list[list[int]]:
    """Split groups that have so many photos of each class; return the groups of each split."""
    labels = np.concatenate([np.repeat(np.arange(len(counts)), counts) for counts in holdings])
    groups = np.repeat(np.arange(len(holdings)), [sum(counts) for counts in holdings])
    names = [f"class {index}" for index in range(len(holdings[0]))]
    result = split_groups(labels, groups, names, seed=seed, validation=0.1, test=0.1)
    splits = [result.train, result.validation, result.test]
    assert sorted(np.concatenate(splits)) == list(range(len(labels)))
    return [np.unique(groups[rows]).tolist() for rows in splits]


def shares(holdings: Sequence[Sequence[int]], splits: Iterable[list[int]]) -> list[list[float]]:
    """Give the share of each class's photos that each split has."""
    counts = np.array(holdings)
    return [(counts[groups].sum(0) / counts.sum(0)).tolist() for groups in splits]


def has_split(has: NDArray[np.bool_]) -> bool:
    """Try all ways to divide groups that have some of the classes, `[G, K]`, into three parts that have them all."""
    return any(
        all(has[np.array(parts) == part].any(0).all() for part in range(3))
        for parts in itertools.product(range(3), repeat=len(has))
    )


@given(
    st.integers(1, 3).flatmap(lambda classes: st.lists(holdings_of(classes), min_size=2, max_size=7)), st.integers(0)
)
def test_groups_stay_whole_and_every_split_has_every_class_if_that_is_possible(
    holdings: list[list[int]], seed: int
) -> None:
    counts = np.array(holdings)
    assume(counts.any(0).all())
    if not has_split(counts > 0):
        with pytest.raises(DatasetError, match="--groups"):
            deal(holdings, seed)
        return
    splits = deal(holdings, seed)
    assert sorted(itertools.chain(*splits)) == list(range(len(holdings)))
    assert all(counts[groups].any(0).all() for groups in splits)


def test_small_groups_across_classes_give_every_class_its_fractions() -> None:
    rng = np.random.default_rng(0)
    holdings = rng.poisson([4, 2, 0.5], (400, 3)) + np.array([1, 0, 0])
    train, validation, test = shares(holdings.tolist(), deal(holdings.tolist()))
    assert train == pytest.approx([0.8] * 3, abs=0.03)
    assert validation == pytest.approx([0.1] * 3, abs=0.03)
    assert test == pytest.approx([0.1] * 3, abs=0.03)


def test_groups_of_equal_size_are_dealt_by_the_fractions() -> None:
    assert [len(groups) for groups in deal([[10, 10]] * 10)] == [8, 1, 1]


def test_seed_chooses_among_groups_of_similar_size() -> None:
    holdings = [[20 + index, 10] for index in range(12)]
    assert deal(holdings, 3) == deal(holdings, 3)
    assert len({str(deal(holdings, seed)[2]) for seed in range(20)}) > 5


@pytest.mark.parametrize("seed", range(6))
def test_group_that_is_large_for_a_split_goes_to_training(seed: int) -> None:
    splits = deal([[60, 0], [0, 50], *([1, 1] for _ in range(40))], seed)
    assert {0, 1} <= set(splits[0])
    _, validation, test = shares([[60, 0], [0, 50], *([1, 1] for _ in range(40))], splits)
    assert [*validation, *test] == pytest.approx([0.1] * 4, abs=0.03)


@pytest.mark.parametrize("seed", range(6))
def test_rare_classes_that_hang_together_are_in_every_split(seed: int) -> None:
    """Each of 50 rare classes is in three of 60 groups alone, so that these must go to three splits."""
    rng = np.random.default_rng(seed)
    hidden = rng.permutation(np.arange(60) % 3)
    holdings = np.zeros((60, 51), int)
    holdings[:, 50] = 5  # one class is common
    for label in range(50):
        for part in range(3):
            holdings[rng.choice(np.flatnonzero(hidden == part)), label] = 3
    for groups in deal(holdings.tolist(), seed):
        assert holdings[groups].any(0).all()


@pytest.mark.parametrize(
    ("holdings", "message"),
    [
        ([[4, 3]], "all 7 photos are one group"),
        ([[4, 3], [1, 1]], "'class 0' is in 2 different groups of --groups, .* needs at least 3"),
        ([[4, 3], [1, 0], [9, 1], [5, 0], [2, 0]], "'class 1' is in 2 different groups"),
        (
            [[1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1]],
            "No way was found to divide the groups of --groups so that",
        ),
    ],
)
def test_groups_too_few_for_three_splits_are_refused(holdings: list[list[int]], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as refused:
        deal(holdings)
    assert "--groups" in str(refused.value)
