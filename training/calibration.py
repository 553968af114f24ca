"""Make scores mean what they say, on the validation side: a temperature, and a threshold for "unsure"."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_COLDEST, _HOTTEST = 0.05, 20.0
CONFIDENT_ERROR = 0.01  # the error rate that a "confident" answer is allowed on validation photos


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


def choose_unsure_threshold(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Find the lowest best score from which on at most `CONFIDENT_ERROR` of the answers are wrong.

    1.0, so next to always unsure, where no score is that reliable. The rate holds for the photos it was chosen on;
    what it is on others has to be measured there.
    """
    best = probabilities.max(1)
    order = np.argsort(-best, kind="stable")
    scores, wrong = best[order], (probabilities.argmax(1) != labels)[order]
    rates = wrong.cumsum() / np.arange(1, len(wrong) + 1)
    ends_a_tie = np.append(scores[:-1] != scores[1:], True)  # equal scores are confident together or not at all
    reliable = np.flatnonzero((rates <= CONFIDENT_ERROR) & ends_a_tie)
    return float(scores[reliable[-1]]) if len(reliable) else 1.0
