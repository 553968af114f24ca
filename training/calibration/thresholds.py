"""What is chosen on the validation split: a temperature, and the thresholds of the verdicts."""

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
    Platt 1999): without smoothing, N right answers would demand certainty. The likelihood has one optimum in 1/T,
    which a ternary search finds.
    """
    photos, classes = logits.shape
    smoothing = classes / (photos + classes)  # the true class is due (photos + 1) / (photos + classes)

    def loss(inverse: float) -> float:
        return float(functional.cross_entropy(logits.double() * inverse, labels, label_smoothing=smoothing))

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
    best = probabilities.max(1)
    order = np.argsort(-best, kind="stable")
    scores, wrong = best[order], (probabilities.argmax(1) != labels)[order].cumsum()
    ends_a_tie = np.append(scores[:-1] != scores[1:], True)  # equal scores are confident together or not at all
    answers = np.arange(1, len(wrong) + 1)
    shown = np.flatnonzero((upper_bound(wrong, answers) <= 1 - precision) & ends_a_tie)
    if len(shown):
        return Choice(float(scores[shown[-1]]), guaranteed=True)
    seen = np.flatnonzero((wrong / answers <= 1 - precision) & ends_a_tie)
    return Choice(float(scores[seen[-1]]) if len(seen) else 1.0, guaranteed=False)


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
