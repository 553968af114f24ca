import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from whisker.training.calibration.thresholds import (
    PrecisionChoice,
    choose_unknown_threshold,
    choose_unsure_threshold,
    fit_temperature,
)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_temperature_of_synthetic_logits_is_found(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn((20_000, 3), generator=generator) * 2
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(honest * temperature, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("photos", [6, 60, 600])
def test_perfect_validation_does_not_make_scores_certain(photos: int) -> None:
    labels = torch.arange(photos) % 2
    logits = torch.nn.functional.one_hot(labels).float() * 7
    scores = (logits / fit_temperature(logits, labels)).softmax(1).max(1).values
    # N right answers of N show no more than (N + 1) / (N + 2): Laplace's rule of succession.
    assert float(scores.mean()) == pytest.approx((photos + 1) / (photos + 2), abs=1e-3)


def test_guaranteed_unsure_threshold_keeps_its_target_on_fresh_photos() -> None:
    """Drawn 200 times: 95 % confidence means that about one draw in twenty breaks it, and that none is far off."""
    rng = np.random.default_rng(0)
    choices = [choose_unsure_threshold(*answers(rng, 5000), precision=0.95) for _ in range(200)]
    assert all(choice.guaranteed for choice in choices)
    thresholds = np.array([choice.threshold for choice in choices])
    right = (thresholds + 1) / 2  # of answers above: each is right as often as its score says
    assert float((right >= 0.95).mean()) >= 0.9
    assert float(right.min()) > 0.94
    assert float(right.mean()) < 0.97  # and no more is asked for than must be


def answers(rng: np.random.Generator, photos: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw honest scores of class 0, uniform over 0.5 to 1, and labels by them."""
    scores = rng.uniform(0.5, 1, photos).astype(np.float32)
    return np.stack([scores, 1 - scores], 1), (rng.uniform(size=photos) > scores).astype(np.int64)


def test_lower_precision_gives_a_lower_threshold() -> None:
    probabilities, labels = answers(np.random.default_rng(0), 5000)
    strict, lenient = (choose_unsure_threshold(probabilities, labels, p).threshold for p in (0.97, 0.9))
    assert lenient < strict


def test_equal_scores_are_confident_together_or_not_at_all() -> None:
    probabilities = np.tile(np.array([[0.97, 0.03]], np.float32), (410, 1))
    labels = np.array([0] * 400 + [1] * 10)  # the first hundreds alone would look reliable
    assert choose_unsure_threshold(probabilities, labels, 0.99) == PrecisionChoice(
        1.0, guaranteed=False, precision=0.99
    )


@pytest.mark.parametrize(
    ("labels", "threshold"),
    [([0, 0, 0], 0.6), ([1, 1, 1], 1.0), ([0, 0, 1], 0.8)],
)
def test_few_photos_give_a_threshold_but_no_guarantee(labels: list[int], threshold: float) -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], np.float32)
    choice = choose_unsure_threshold(probabilities, np.array(labels), 0.99)
    assert choice.threshold == pytest.approx(threshold)
    assert not choice.guaranteed


def test_no_photos_to_choose_by_make_next_to_everything_unsure() -> None:
    choice = choose_unsure_threshold(np.empty((0, 2), np.float32), np.empty(0, np.int64), 0.99)
    assert choice == PrecisionChoice(1.0, guaranteed=False, precision=0.99)


@pytest.mark.parametrize(("photos", "guaranteed"), [(260, False), (280, True)])
def test_guarantee_needs_as_many_right_answers_as_statistics_ask_for(photos: int, guaranteed: bool) -> None:  # noqa: FBT001
    """Without a mistake, Wilson's bound at 95 % falls to 1 % at z² (1 - 0.01) / 0.01 = 268 answers."""
    probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (photos, 1))
    assert choose_unsure_threshold(probabilities, np.zeros(photos, np.int64), 0.99).guaranteed is guaranteed


def test_guaranteed_unknown_threshold_keeps_its_target_on_fresh_photos() -> None:
    rng, rates = np.random.default_rng(0), []
    for _ in range(200):
        choice = choose_unknown_threshold(rng.uniform(size=500).astype(np.float32), 0.05)
        assert choice.guaranteed
        rates.append(1 - choice.threshold)  # of photos as these, the share above it
    assert float(np.mean(np.array(rates) <= 0.05)) >= 0.9
    assert 0.02 < float(np.mean(rates)) < 0.05  # and none is given away


def test_too_few_photos_put_the_unknown_threshold_above_all_of_them() -> None:
    ood_scores = np.linspace(0.1, 0.2, 20).astype(np.float32)
    choice = choose_unknown_threshold(ood_scores, 0.05)
    assert choice.threshold == pytest.approx(0.21)
    assert not choice.guaranteed


def falling(right: int, wrong: int, repeats: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Make answers of falling scores, of which the last are wrong."""
    scores = np.linspace(0.999, 0.981, right + wrong, dtype=np.float32)
    labels = np.array([0] * right + [1] * wrong)
    return np.tile(np.stack([scores, 1 - scores], 1), (repeats, 1)), np.tile(labels, repeats)


@pytest.mark.parametrize(("right", "promise"), [(268, 0.99), (267, 0.98), (132, 0.97), (87, 0.95), (51, None)])
def test_few_photos_show_a_lower_promise(right: int, promise: float | None) -> None:
    choice = choose_unsure_threshold(*falling(right, 0), 0.99, lowest=0.95)
    assert choice.guaranteed is (promise is not None)
    assert choice.precision == (promise or 0.99)


def test_lower_promise_is_not_tried_unasked() -> None:
    assert not choose_unsure_threshold(*falling(200, 0), 0.99).guaranteed


def test_lower_promise_still_aims_at_the_precision_asked_for() -> None:
    """Four errors of 154 would keep 95 %: the threshold leaves them out all the same."""
    probabilities, labels = falling(150, 4)
    choice = choose_unsure_threshold(probabilities, labels, 0.99, lowest=0.95)
    confident = probabilities.max(1) >= choice.threshold
    assert confident.sum() == 150
    assert (probabilities.argmax(1) == labels)[confident].all()


def test_score_below_a_lower_promise_does_not_keep_it() -> None:
    probabilities, labels = falling(150, 0)
    low = probabilities.clip(0.06, 0.94)
    assert choose_unsure_threshold(probabilities, labels, 0.99, lowest=0.95).guaranteed
    assert not choose_unsure_threshold(low, labels, 0.99, lowest=0.95).guaranteed


def test_repeats_are_no_new_evidence() -> None:
    once = choose_unsure_threshold(*falling(100, 20), 0.99, lowest=0.95)
    assert choose_unsure_threshold(*falling(100, 20, repeats=5), 0.99, lowest=0.95, repeats=5) == once
    assert choose_unsure_threshold(*falling(100, 20, repeats=5), 0.99).guaranteed


@pytest.mark.parametrize("repeats", [2, 5])
def test_repeats_do_not_make_scores_more_certain(repeats: int) -> None:
    labels = torch.arange(30) % 2
    logits = torch.nn.functional.one_hot(labels).float() * 7
    once = fit_temperature(logits, labels)
    assert fit_temperature(logits.repeat(repeats, 1), labels.repeat(repeats), repeats=repeats) == pytest.approx(once)
    assert fit_temperature(logits.repeat(repeats, 1), labels.repeat(repeats)) < once
