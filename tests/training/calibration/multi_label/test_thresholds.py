"""What is chosen for each label: a precision that fresh photos keep or, failing that, the best F1."""

import numpy as np
import pytest
from numpy.typing import NDArray

from whisker.training.calibration.multi_label.thresholds import (
    choose_label_threshold,
    choose_label_thresholds,
    fit_label_temperature,
    thresholds_of,
)
from whisker.training.calibration.thresholds import PrecisionChoice


def honest(rng: np.random.Generator, photos: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw scores of one label, uniform over 0 to 1, and photos that have it as often as their score says."""
    scores = rng.uniform(size=photos).astype(np.float32)
    return scores, rng.uniform(size=photos) < scores


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_temperature_of_synthetic_logits_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (5_000, 4))
    present = rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))
    fitted = fit_label_temperature((logits * temperature).astype(np.float32), present)
    assert fitted == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("photos", [6, 60, 600])
def test_perfect_validation_does_not_make_scores_certain(photos: int) -> None:
    """N right answers of N show no more than (N + 1) / (N + 2): Laplace's rule of succession."""
    present = (np.arange(2 * photos) % 2 == 0)[:, None]
    logits = np.where(present, 7, -7).astype(np.float32)
    score = 1 / (1 + np.exp(-7 / fit_label_temperature(logits, present)))
    assert score == pytest.approx((photos + 1) / (photos + 2), abs=1e-3)


def test_label_that_every_photo_has_or_none_still_has_a_temperature() -> None:
    logits = np.full((50, 2), 3, np.float32)
    present = np.tile([True, False], (50, 1))
    assert 0.05 <= fit_label_temperature(logits, present) <= 20


def test_guaranteed_threshold_keeps_its_precision_on_fresh_photos() -> None:
    """Drawn 200 times: 95 % confidence means that about one draw in twenty breaks it, and that none is far off."""
    rng = np.random.default_rng(0)
    choices = [choose_label_threshold(*honest(rng, 5_000), precision=0.9) for _ in range(200)]
    assert all(choice.guaranteed for choice in choices)
    kept = (np.array([choice.threshold for choice in choices]) + 1) / 2  # the mean score above a threshold
    assert float((kept >= 0.9).mean()) >= 0.9
    assert float(kept.min()) > 0.88
    assert float(kept.mean()) < 0.93  # and no more is asked for than must be


def test_too_few_photos_give_the_threshold_of_the_best_f1_without_a_guarantee() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1], np.float32)
    present = np.array([True, True, False, True, False, False])
    # From 0.6 on, 3 of 4 are right and none is missed: F1 is 6 / 7; from 0.8 on it is 4 / 5.
    assert choose_label_threshold(scores, present, 0.9) == _unproven(0.6, 0.9)


def test_label_that_no_photo_has_is_never_found() -> None:
    scores = np.array([0.9, 0.2], np.float32)
    assert choose_label_threshold(scores, np.zeros(2, np.bool_), 0.9) == _unproven(1, 0.9)
    assert choose_label_threshold(scores[:0], np.zeros(0, np.bool_), 0.9) == _unproven(1, 0.9)


def test_equal_scores_are_found_together_or_not_at_all() -> None:
    scores = np.full(410, 0.97, np.float32)
    present = np.array([True] * 400 + [False] * 10)  # the first hundreds alone would look reliable
    assert choose_label_threshold(scores, present, 0.99) == _unproven(0.97, 0.99)


@pytest.mark.parametrize(("photos", "guaranteed"), [(24, False), (25, True)])
def test_guarantee_needs_as_many_right_answers_as_statistics_ask_for(photos: int, guaranteed: bool) -> None:  # noqa: FBT001
    """Without a mistake, Wilson's bound at 95 % falls to 10 % at z² (1 - 0.1) / 0.1 = 24.4 photos."""
    choice = choose_label_threshold(np.full(photos, 0.8, np.float32), np.ones(photos, np.bool_), 0.9)
    assert choice.guaranteed is guaranteed


def test_each_label_has_its_own_choice() -> None:
    rng = np.random.default_rng(0)
    columns = [honest(rng, 3_000) for _ in range(2)]
    probabilities = np.stack([columns[0][0], columns[1][0], rng.uniform(size=3_000).astype(np.float32)], 1)
    present = np.stack([columns[0][1], columns[1][1], rng.uniform(size=3_000) < 0.01], 1)
    chosen = choose_label_thresholds(probabilities, present, 0.9)
    assert [choice.guaranteed for choice in chosen] == [True, True, False]
    for index, choice in enumerate(chosen):
        assert choice == choose_label_threshold(probabilities[:, index], present[:, index], 0.9)
    stored = thresholds_of(chosen)
    assert (stored.labels, stored.guaranteed) == (tuple(choice.threshold for choice in chosen), (True, True, False))


@pytest.mark.parametrize(("photos", "promise"), [(268, 0.99), (133, 0.98), (52, 0.95)])
def test_fewer_photos_may_show_a_lower_precision(photos: int, promise: float) -> None:
    scores, present = np.full(photos, 0.995, np.float32), np.ones(photos, np.bool_)
    assert choose_label_threshold(scores, present, 0.99, lowest=0.95) == PrecisionChoice(
        float(scores[0]), guaranteed=True, precision=promise
    )
    assert choose_label_threshold(scores, present, 0.99).guaranteed is (promise == 0.99)


def test_repeats_are_no_new_evidence() -> None:
    scores, present = np.full(240, 0.8, np.float32), np.ones(240, np.bool_)
    assert choose_label_threshold(scores, present, 0.9).guaranteed
    assert not choose_label_threshold(scores, present, 0.9, repeats=10).guaranteed


def _unproven(threshold: float, precision: float) -> PrecisionChoice:
    return PrecisionChoice(float(np.float32(threshold)), guaranteed=False, precision=precision)
