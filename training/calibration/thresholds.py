"""What is chosen on the validation split: a temperature, and the thresholds of the verdicts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.training.calibration.metrics import upper_bound

_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, and whether the photos it was chosen on show, with 95 % confidence, that it meets its target."""

    threshold: float
    guaranteed: bool


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017), within 0.05 to 20.

    The labels of logits `[N, classes]` are smoothed by what N photos can show (Laplace's rule of succession, as in
    Platt 1999): without smoothing, N right answers would demand certainty.
    """
    photos, classes = logits.shape
    smoothing = classes / (photos + classes)  # the true class is due (photos + 1) / (photos + classes)

    def loss(inverse: float) -> float:
        return float(functional.cross_entropy(logits.double() * inverse, labels, label_smoothing=smoothing))

    return least_temperature(loss)


def least_temperature(loss: Callable[[float], float]) -> float:
    """Find the temperature T, within 0.05 to 20, with the least `loss(1 / T)`.

    A likelihood has one optimum in 1/T, which a ternary search finds.
    """
    low, high = 1 / _MAX_TEMPERATURE, 1 / _MIN_TEMPERATURE
    for _ in range(60):  # (2/3)^60 of the interval is below a float32's resolution
        third = (high - low) / 3
        if loss(low + third) <= loss(high - third):
            high -= third
        else:
            low += third
    return 2 / (low + high)


def choose_unsure_threshold(probabilities: NDArray[np.float32], labels: NDArray[np.int64], precision: float) -> Choice:
    """Find the lowest score such that at least `precision` of the answers with that score or more are right.

    It is guaranteed if the validation photos show the precision with 95 % confidence. Otherwise it is the lowest score
    at which their plain share reaches the precision or, failing that too, 1.0: almost every answer is unsure.
    """
    ranked = rank_answers(probabilities.max(1), probabilities.argmax(1) == labels)
    guaranteed = ranked.lowest_score_that_keeps(precision)
    if guaranteed is not None:
        return Choice(guaranteed, guaranteed=True)
    seen = np.flatnonzero(ranked.wrong / ranked.answers <= 1 - precision)
    return Choice(float(ranked.scores[seen[-1]]) if len(seen) else 1.0, guaranteed=False)


@dataclass(frozen=True, slots=True)
class RankedAnswers:
    """For each different score, the highest first, how many `answers` reach it, and how many `wrong` ones."""

    scores: NDArray[np.float32]
    answers: NDArray[np.int64]
    wrong: NDArray[np.int64]

    def lowest_score_that_keeps(self, precision: float) -> float | None:
        """Find the lowest score whose answers show, with 95 % confidence, a precision of at least `precision`."""
        shown = np.flatnonzero(upper_bound(self.wrong, self.answers) <= 1 - precision)
        return float(self.scores[shown[-1]]) if len(shown) else None


def rank_answers(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> RankedAnswers:
    """Rank N answers by their scores `[N]`; equal scores reach a threshold together or not at all."""
    order = np.argsort(-scores, kind="stable")
    ordered, wrong = scores[order], (~right)[order].cumsum()
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, np.int64)
    return RankedAnswers(ordered[ends], ends + 1, wrong[ends])


def choose_unknown_threshold(ood_scores: NDArray[np.float32], false_alarms: float) -> Choice:
    """Find the lowest threshold that at most a share `false_alarms` of known photos, with `ood_scores` `[N]`, exceed.

    It is guaranteed if the photos show that with 95 % confidence. Otherwise it lies above all of them, by a tenth of
    their range.
    """
    ordered = np.sort(ood_scores)[::-1]
    above = np.arange(len(ordered))  # photos that exceed a threshold which equals the i-th largest
    shown = np.flatnonzero(upper_bound(above, len(ordered)) <= false_alarms)
    if len(shown):
        return Choice(float(ordered[shown[-1]]), guaranteed=True)
    return Choice(float(ordered[0] + 0.1 * (ordered[0] - ordered[-1])), guaranteed=False)
