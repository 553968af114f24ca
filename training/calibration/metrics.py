"""How good a classifier is, with the uncertainty of the measurement."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964  # two-sided 95 % of a normal distribution
_Z_ONE_SIDED = 1.644854
_BINS = 15


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on photos whose labels are known. `confusion[i][j]` counts class i answered as j."""

    photos: int
    accuracy: float
    interval: tuple[float, float]
    confusion: tuple[tuple[int, ...], ...]
    negative_log_likelihood: float
    calibration_error: float

    def to_json(self) -> dict[str, Any]:
        """Give the figures as a JSON object, rounded to what they are worth."""
        return {
            "photos": self.photos,
            "accuracy": round(self.accuracy, 4),
            "accuracy_95_interval": [round(bound, 4) for bound in self.interval],
            "negative_log_likelihood": round(self.negative_log_likelihood, 4),
            "expected_calibration_error": round(self.calibration_error, 4),
            "confusion": [list(row) for row in self.confusion],
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, {self.photos:,} photos)"


def evaluate_probabilities(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Evaluation:
    """Compare probabilities `[N, classes]` with labels `[N]`, N at least 1."""
    classes = probabilities.shape[1]
    best = probabilities.argmax(1)
    correct = best == labels
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, best), 1)
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Evaluation(
        photos=len(labels),
        accuracy=float(correct.mean()),
        interval=wilson_interval(int(correct.sum()), len(labels)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        negative_log_likelihood=float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        calibration_error=_calibration_error(probabilities.max(1), correct),
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Bound a proportion at 95 % (Wilson 1927); it stays within 0..1 and is right for small counts, too."""
    p, z2 = successes / trials, _Z**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def upper_bound(successes: NDArray[np.int64], trials: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Bound proportions from above with 95 % confidence (Wilson's interval, its upper side alone)."""
    p, z2 = successes / trials, _Z_ONE_SIDED**2
    half = _Z_ONE_SIDED * np.sqrt(p * (1 - p) / trials + z2 / (4 * np.square(trials)))
    bound: NDArray[np.float64] = (p + z2 / (2 * trials) + half) / (1 + z2 / trials)
    return bound


def _calibration_error(scores: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Average |score - accuracy| over bins of equal width, weighted by their photos (Guo et al. 2017)."""
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, scores, _BINS) - np.bincount(bins, correct, _BINS)
    return float(np.abs(gaps).sum() / len(scores))
