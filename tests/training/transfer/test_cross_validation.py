"""Folds, and answers for photos by networks that were trained without them and without their look-alikes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.training.transfer.small import clusters
from whisker.model.answers.head import Head
from whisker.training.config import TransferRecipe
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress
from whisker.training.transfer.cross_validation import (
    MAX_FOLDS,
    count_folds,
    count_repeats,
    cross_validate,
    divide,
    probe_runner,
)
from whisker.training.transfer.folds import assign_folds
from whisker.training.transfer.probe import ProbeData, fit_probe
from whisker.training.transfer.trials import CrossValidation, Validation

CLASSES = ("cat", "dog", "owl")
NO_HEAD = Head(np.zeros((3, 8), np.float32), np.zeros(3, np.float32))


@pytest.mark.parametrize("counts", [(10, 10), (23, 7, 5), (100, 2)])
def test_folds_without_groups_are_stratified(counts: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    fold_of = assign_folds(labels, np.arange(len(labels)), 5, np.random.default_rng(0))
    for label in range(len(counts)):
        sizes = np.bincount(fold_of[labels == label], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    sizes = np.bincount(fold_of, minlength=5)
    assert sizes.max() - sizes.min() <= len(counts)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=10, max_size=60), st.integers(2, 5))
def test_group_is_in_one_fold(photos: list[tuple[int, int]], folds: int) -> None:
    labels, groups = (np.array(column) for column in zip(*photos, strict=True))
    fold_of = assign_folds(labels, groups, folds, np.random.default_rng(0))
    assert set(fold_of) <= set(range(folds))
    for group in np.unique(groups):
        assert len(set(fold_of[groups == group])) == 1


def test_class_of_as_many_groups_as_folds_is_in_every_fold() -> None:
    """Groups of differing size, some of them with photos of both classes."""
    labels = np.array([0] * 12 + [1] * 9)
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 4])
    for seed in range(20):
        fold_of = assign_folds(labels, groups, 5, np.random.default_rng(seed))
        assert set(fold_of[labels == 0]) == set(range(5))
        assert set(fold_of[labels == 1]) == set(range(5))


@pytest.mark.parametrize(
    ("labels", "groups", "folds"),
    [
        (np.repeat([0, 1, 2], 20), np.arange(60), MAX_FOLDS),
        (np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]), np.arange(9), 2),
        (np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2]), np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), 3),
    ],
)
def test_folds_are_as_many_as_every_class_has_groups_for(
    labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int
) -> None:
    assert count_folds(labels, groups, CLASSES) == folds


@pytest.mark.parametrize("groups", [np.arange(5), np.array([0, 1, 2, 2, 4])])
def test_class_with_a_single_different_photo_is_refused(groups: NDArray[np.int64]) -> None:
    """Of one photo, or of two that are the same."""
    labels = np.array([0, 0, 2, 2, 1]) if groups[3] == 3 else np.array([0, 0, 1, 1, 2])
    with pytest.raises(DatasetError, match=r"The class '(dog|owl)' has only 1 different readable photo, .* at least 2"):
        count_folds(labels, groups, CLASSES)


@pytest.mark.parametrize(("photos", "repeats"), [(10, 4), (500, 4), (900, 2), (1500, 1), (100_000, 1)])
def test_few_photos_are_divided_several_times(photos: int, repeats: int) -> None:
    assert count_repeats(photos) == repeats


def test_repeats_are_divided_differently_and_seeds_decide() -> None:
    labels, groups = np.repeat([0, 1], 20), np.arange(40)
    first, again, other = (divide(labels, groups, folds=5, repeats=3, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (3, 40)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


def test_every_photo_is_answered_by_what_was_trained_on_the_other_folds(quiet: Progress) -> None:
    labels = np.repeat([0, 1], 10)
    fold_of = divide(labels, np.arange(20), folds=4, repeats=2, seed=0)
    seen: list[int] = []

    def run(train: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.float32]:
        assert not set(train) & set(held)
        assert len(train) + len(held) == 20
        seen.extend(held)
        return np.stack([np.stack([held, held + 100], 1), np.stack([-held, held], 1)]).astype(np.float32)

    logits = cross_validate(fold_of, run, "Trying", quiet)
    assert logits.shape == (2, 2, 20, 2)
    assert sorted(seen) == sorted([*range(20)] * 2)
    for repeat in range(2):
        np.testing.assert_array_equal(logits[0, repeat, :, 1], np.arange(20) + 100)
        np.testing.assert_array_equal(logits[1, repeat, :, 0], -np.arange(20))


def cross_validated(data: ProbeData, groups: NDArray[np.int64], progress: Progress, seed: int = 0) -> CrossValidation:
    return CrossValidation(data, groups, CLASSES, TransferRecipe(), seed=seed, progress=progress)


def test_answer_for_a_photo_does_not_follow_its_own_label(quiet: Progress) -> None:
    """A poisoned label teaches a probe that has seen it; what answers when the photo is held out has not."""
    clean, groups = clusters(20, spread=0.3), np.arange(60)
    poisoned = replace(clean, labels=np.where(np.arange(60) == 7, 2, clean.labels))
    seen = fit_probe(poisoned, penalty=1e-7).logits(poisoned.features[0])
    assert seen[7].argmax() == 2
    logits = cross_validated(poisoned, groups, quiet).try_probe(NO_HEAD)
    assert (logits[:, 7].argmax(1) == 0).all()


def test_answer_for_a_photo_does_not_follow_the_label_of_its_look_alike(quiet: Progress) -> None:
    """Photos 3 and 7 alone have a ninth feature, and wrong labels: only from one of them can it be learnt."""
    features = np.pad(clusters(20, spread=0.3).features, ((0, 0), (0, 0), (0, 1)))
    features[:, [3, 7], 8] = 30
    labels = np.repeat([0, 1, 2], 20)
    labels[[3, 7]] = 2
    data, groups = ProbeData(features, labels, 3), np.arange(60)
    apart = cross_validated(data, groups, quiet).try_probe(NO_HEAD)
    groups[7] = 3
    together = cross_validated(data, groups, quiet).try_probe(NO_HEAD)
    assert (apart[:, [3, 7], 2] - apart[:, [3, 7], :2].max(2)).max() > 0
    assert (together[:, [3, 7], 2] - together[:, [3, 7], :2].max(2)).max() < 0


def test_probe_of_a_fold_is_the_probe_of_its_training_photos() -> None:
    data, train, held = clusters(10), np.arange(0, 30, 2), np.arange(1, 30, 2)
    run = probe_runner(data, penalty=0.01, balance=0.5)
    head = fit_probe(data.take(train), penalty=0.01, balance=0.5)
    np.testing.assert_allclose(run(train, held)[0], head.logits(data.features[0, held]), atol=1e-5)


def test_held_out_answers_are_as_a_checkpoint_keeps_them(quiet: Progress) -> None:
    trial = cross_validated(clusters(10), np.arange(30), quiet)
    logits = trial.try_probe(NO_HEAD)
    held_out = trial.held_out(logits, tuned=False)
    assert held_out is not None
    assert held_out.repeats == 4
    assert (trial.folds, trial.trainings) == (5, (5.0, 3.0))
    np.testing.assert_array_equal(held_out.logits, logits.astype(np.float16))
    np.testing.assert_array_equal(held_out.folds, divide(trial.labels, np.arange(30), folds=5, repeats=4, seed=0))
    single = trial.held_out(logits[:1], tuned=True)  # of fine-tuning, which is tried once
    assert single is not None
    assert single.folds.shape == (1, 30)


def test_photos_that_are_set_aside_are_answered_by_the_probe_of_all_others() -> None:
    train, aside = clusters(20), clusters(5, seed=1)
    trial = Validation(aside, None)  # type: ignore[arg-type]  # only fine-tuning looks at the pixels
    head = fit_probe(train)
    logits = trial.try_probe(head)
    np.testing.assert_array_equal(logits, head.logits(aside.features[0])[None])
    assert trial.held_out(logits, tuned=False) is None
    assert trial.folds is None


def test_groups_that_would_take_a_whole_class_along_are_refused() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    fine = divide(labels, np.array([0, 1, 2, 3, 0, 1, 2, 3]), folds=2, repeats=3, seed=0)
    for fold_of in fine:
        assert {len(set(fold_of[labels == label])) for label in (0, 1)} == {2}
    with pytest.raises(DatasetError, match="name smaller groups with --groups"):
        divide(labels, np.zeros(8, np.int64), folds=2, repeats=1, seed=0)
