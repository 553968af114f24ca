import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.calibration import CONFIDENT_ERROR, choose_unsure_threshold, fit_temperature
from training.metrics import evaluate_probabilities, wilson_interval


@pytest.mark.parametrize(  # 81 of 263 is the example of Newcombe 1998
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (95, 100, 0.8882, 0.9785)],
)
def test_wilson_interval_has_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10_000), st.data())
def test_wilson_interval_holds_the_estimate(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1


def test_evaluation_counts_what_happened() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], np.float32)
    result = evaluate_probabilities(probabilities, np.array([0, 0, 1, 1]))
    assert result.confusion == ((2, 0), (1, 1))
    assert result.accuracy == 0.75
    assert result.negative_log_likelihood == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3]).mean())
    # One photo a bin: 0.9 and 0.6 and 0.8 are right, 0.7 is wrong.
    assert result.calibration_error == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)
    assert "75.0% (95 % interval" in str(result)
    assert result.to_json()["accuracy_95_interval"] == [round(bound, 4) for bound in result.interval]


def test_perfectly_calibrated_scores_have_no_calibration_error() -> None:
    probabilities = np.tile(np.array([[0.75, 0.25]], np.float32), (400, 1))
    labels = np.array([0, 0, 0, 1] * 100)
    assert evaluate_probabilities(probabilities, labels).calibration_error == pytest.approx(0, abs=1e-6)


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


def test_unsure_threshold_keeps_confident_errors_rare() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.5, 1, 5000).astype(np.float32)
    labels = (rng.uniform(size=5000) > scores).astype(np.int64)  # class 0 is right as often as its score says
    probabilities = np.stack([scores, 1 - scores], 1)
    threshold = choose_unsure_threshold(probabilities, labels)
    confident = scores >= threshold
    assert 0.9 < threshold < 1
    assert labels[confident].mean() <= CONFIDENT_ERROR


def test_equal_scores_are_confident_together_or_not_at_all() -> None:
    probabilities = np.tile(np.array([[0.97, 0.03]], np.float32), (210, 1))
    labels = np.array([0] * 200 + [1] * 10)  # the first hundreds alone would look reliable
    assert choose_unsure_threshold(probabilities, labels) == 1.0


@pytest.mark.parametrize(("labels", "threshold"), [([0, 0, 0], 0.6), ([1, 1, 1], 1.0)])
def test_unsure_threshold_of_extremes(labels: list[int], threshold: float) -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], np.float32)
    assert choose_unsure_threshold(probabilities, np.array(labels)) == pytest.approx(threshold)
