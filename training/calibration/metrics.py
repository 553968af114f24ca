"""How good a classifier is, with the uncertainty of the measurement."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from whisker.model.card.confusion import MAX_WHOLE, Cell, Confusion, whole_matrix
from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import SplitMetrics

_Z = 1.959964  # two-sided 95 % of a normal distribution
_Z_ONE_SIDED = 1.644854  # of 95 %
_BINS = 15
_MAX_LISTED = 10  # classes that are all named as answers; of more, only those that were given


class Measured(Protocol):
    """How good answers for labelled photos are, whatever the task; as text, it is the figures in one line."""

    @property
    def photos(self) -> int:
        """Count the photos."""

    def to_json(self) -> dict[str, JsonValue]:
        """Give the rounded figures as a JSON object."""

    def describe_classes(self, classes: Sequence[str]) -> Iterator[str]:
        """Write the figures of each class, a line each."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good answers for labelled photos of so many `classes` are; `cells` count photos by class and answer."""

    photos: int
    accuracy: float
    interval: tuple[float, float]
    cells: tuple[Cell, ...]
    classes: int
    negative_log_likelihood: float
    calibration_error: float

    @classmethod
    def from_metrics(cls, metrics: SplitMetrics | None, classes: int) -> Self | None:
        """Read what a checkpoint of so many classes has stored; `None` unless all of it is there."""
        if metrics is None or metrics.photos is None or metrics.accuracy is None or metrics.cells is None:
            return None
        interval, likelihood = metrics.accuracy_95_interval, metrics.negative_log_likelihood
        error = metrics.expected_calibration_error
        if interval is None or likelihood is None or error is None:
            return None
        return cls(metrics.photos, metrics.accuracy, interval, metrics.cells, classes, likelihood, error)

    @property
    def confusion(self) -> Confusion:
        """Count the photos of each class (rows) by answer (columns)."""
        return whole_matrix(self.cells, self.classes)

    def to_metrics(self) -> SplitMetrics:
        """Give the figures as a checkpoint stores them, rounded to the digits that mean something."""
        low, high = self.interval
        is_whole = self.classes <= MAX_WHOLE
        return SplitMetrics(
            photos=self.photos,
            accuracy=round(self.accuracy, 4),
            accuracy_95_interval=(round(low, 4), round(high, 4)),
            negative_log_likelihood=round(self.negative_log_likelihood, 4),
            expected_calibration_error=round(self.calibration_error, 4),
            confusion=self.confusion if is_whole else None,
            confusion_cells=None if is_whole else self.cells,
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Give the rounded figures as a JSON object."""
        return self.to_metrics().to_json()

    def describe(self) -> Iterator[str]:
        """Write the figures, a line each."""
        yield f"Accuracy: {self}"
        yield f"Calibration error: {self.calibration_error:.4f}"

    def describe_classes(self, classes: Sequence[str]) -> Iterator[str]:
        """Write what the photos of each class were answered with."""
        answers: list[dict[int, int]] = [{} for _ in classes]
        for label, answer, count in self.cells:
            answers[label][answer] = count
        for name, given in zip(classes, answers, strict=True):
            listed = range(len(classes)) if len(classes) <= _MAX_LISTED else given
            answered = ", ".join(f"{given.get(other, 0):,} {classes[other]}" for other in listed)
            yield f"{name}: answered {answered or 'nothing'}"

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, {self.photos:,} photos)"


def evaluate_probabilities(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], *, repeats: int = 1
) -> Evaluation:
    """Compare probabilities `[N, classes]` with labels `[N]`, N at least 1.

    Each photo may be there `repeats` times, from several cross-validations: counts are means over them.
    """
    classes = probabilities.shape[1]
    best = probabilities.argmax(1)
    correct = best == labels
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    photos = len(labels) // repeats
    return Evaluation(
        photos=photos,
        accuracy=float(correct.mean()),
        interval=wilson_interval(float(correct.mean()) * photos, photos),
        cells=count_cells(labels, best, classes, repeats=repeats),
        classes=classes,
        negative_log_likelihood=float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        calibration_error=_calibration_error(probabilities.max(1), correct),
    )


def count_cells(
    labels: NDArray[np.int64], best: NDArray[np.int64], classes: int, *, repeats: int = 1
) -> tuple[Cell, ...]:
    """Count photos by label and best answer, as means over `repeats` that sum up to each label's photos."""
    places, counts = np.unique(labels * classes + best, return_counts=True)
    rows, answers = np.divmod(places, classes)
    cells: list[Cell] = []
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows)) + 1):
        shared = share_out(counts[part], repeats)
        cells += [
            (int(rows[index]), int(answers[index]), count) for index, count in zip(part, shared, strict=True) if count
        ]
    return tuple(cells)


def share_out(counts: NDArray[np.int64], repeats: int) -> list[int]:
    """Divide counts by `repeats` and round them, so that their sum is right (the largest remainders are rounded up)."""
    whole, rest = counts // repeats, counts % repeats
    missing = round(counts.sum() / repeats) - int(whole.sum())
    whole[np.argsort(-rest, kind="stable")[:missing]] += 1
    return [int(count) for count in whole]


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Bound a proportion at 95 % (Wilson 1927); it stays within 0..1 and holds for small counts."""
    p, z2 = successes / trials, _Z**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def upper_bound(
    successes: NDArray[np.int64] | NDArray[np.float64], trials: NDArray[np.int64] | NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Bound proportions from above with 95 % confidence (one-sided Wilson interval)."""
    p, z2 = successes / trials, _Z_ONE_SIDED**2
    half = _Z_ONE_SIDED * np.sqrt(p * (1 - p) / trials + z2 / (4 * np.square(trials)))
    bound: NDArray[np.float64] = (p + z2 / (2 * trials) + half) / (1 + z2 / trials)
    return bound


def _calibration_error(scores: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Average |score - accuracy| over bins of equal width, weighted by their photos (Guo et al. 2017)."""
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, scores, _BINS) - np.bincount(bins, correct, _BINS)
    return float(np.abs(gaps).sum() / len(scores))
