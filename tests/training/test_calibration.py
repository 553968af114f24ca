import numpy as np
import pytest
import torch

from training.calibration import CONFIDENT_ERROR, choose_unsure_threshold, fit_temperature


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
