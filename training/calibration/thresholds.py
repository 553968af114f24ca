"""Measure on the validation side: a temperature, the thresholds of the verdicts, and what int8 costs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.answers.decision_rule import softmax
from whisker.model.checkpoint.contents import Quantization, Range
from whisker.training.calibration.metrics import upper_bound

_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, and whether the photos it was chosen on show, with 95 % confidence, that it keeps its promise."""

    threshold: float
    guaranteed: bool


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017), within 0.05 to 20.

    The targets for logits `[N, classes]` are not quite certain, by as much as N photos can say (Laplace's rule of
    succession, as in Platt 1999): without that, N right answers would ask for certainty. The likelihood has one
    optimum in 1/T, and interval thirds close in on it.
    """
    photos, classes = logits.shape
    smoothing = classes / (photos + classes)  # the true class is due (photos + 1) / (photos + classes)

    def loss(inverse: float) -> float:
        return float(functional.cross_entropy(logits.double() * inverse, labels, label_smoothing=smoothing))

    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(60):  # (2/3)^60 of the interval is below a float32's resolution
        third = (high - low) / 3
        if loss(low + third) <= loss(high - third):
            high -= third
        else:
            low += third
    return 2 / (low + high)


def int8_cost(
    ranges: Mapping[str, Range],
    int8: NDArray[np.float32],
    float32: NDArray[np.float32],
    labels: NDArray[np.int64],
    temperature: float,
) -> Quantization:
    """Compare logits `[N, classes]` of int8 and of float32 for the same photos."""
    answers, expected = softmax(int8, temperature), softmax(float32, temperature)
    lost = int((expected.argmax(1) == labels).sum()) - int((answers.argmax(1) == labels).sum())
    return Quantization(ranges, 100 * lost / len(labels), float(np.abs(answers - expected).mean()))


def choose_unsure_threshold(probabilities: NDArray[np.float32], labels: NDArray[np.int64], precision: float) -> Choice:
    """Find the lowest best score from which on at least `precision` of the answers are right.

    Promised where the validation photos show it with 95 % confidence. Failing that, where their plain share does;
    failing that, too, 1.0: next to always unsure.
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
    """Find the lowest threshold that at most `false_alarms` of known photos, of this strangeness `[N]`, exceed.

    Promised where the photos show it with 95 % confidence; failing that, it lies above all of them, by a tenth of
    their range.
    """
    ordered = np.sort(ood_scores)[::-1]
    above = np.arange(len(ordered))  # photos that exceed a threshold which equals the i-th largest
    shown = np.flatnonzero(upper_bound(above, len(ordered)) <= false_alarms)
    if len(shown):
        return Choice(float(ordered[shown[-1]]), guaranteed=True)
    return Choice(float(ordered[0] + 0.1 * (ordered[0] - ordered[-1])), guaranteed=False)
