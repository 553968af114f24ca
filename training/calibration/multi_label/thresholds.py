"""What is chosen on the validation split for a multi-label checkpoint: a temperature, and a threshold a label."""

import numpy as np
from numpy.typing import NDArray

from whisker.model.checkpoint.contents import Thresholds
from whisker.training.calibration.thresholds import Choice, least_temperature, rank_answers


def fit_label_temperature(logits: NDArray[np.float32], present: NDArray[np.bool_]) -> float:
    """Find the temperature, within 0.05 to 20, under which sigmoids of logits `[N, classes]` are likeliest.

    One for all labels: with one each, rare labels would have too few photos to fit it. As in Platt 1999, the truth is
    smoothed by what the photos with and without a label can show: without that, N right answers would demand certainty.
    """
    values, having = logits.astype(np.float64), present.sum(0)
    targets = np.where(present, (having + 1) / (having + 2), 1 / (len(present) - having + 2))

    def loss(inverse: float) -> float:
        scaled = values * inverse
        # -log sigmoid(x) is log(1 + exp(-x)), and -log(1 - sigmoid(x)) is x more.
        return float((np.logaddexp(0, -scaled) + (1 - targets) * scaled).mean())

    return least_temperature(loss)


def choose_label_thresholds(
    probabilities: NDArray[np.float32], present: NDArray[np.bool_], precision: float
) -> Thresholds:
    """Choose a threshold for each label, given probabilities and labels `[N, classes]`, as `choose_label_threshold`."""
    choices = [
        choose_label_threshold(scores, truth, precision)
        for scores, truth in zip(probabilities.T, present.T, strict=True)
    ]
    return Thresholds(
        labels=tuple(choice.threshold for choice in choices), guaranteed=tuple(choice.guaranteed for choice in choices)
    )


def choose_label_threshold(scores: NDArray[np.float32], present: NDArray[np.bool_], precision: float) -> Choice:
    """Find the lowest score such that at least `precision` of the photos with that score or more have the label.

    `scores` and `present` are one label's, `[N]`. The threshold is guaranteed if the photos show the precision with
    95 % confidence. Otherwise it is the score with the best F1 or, if no photo has the label, 1.0.
    """
    ranked = rank_answers(scores, present)
    guaranteed = ranked.lowest_score_that_keeps(precision)
    if guaranteed is not None:
        return Choice(guaranteed, guaranteed=True)
    if not present.any():
        return Choice(1.0, guaranteed=False)
    f1 = 2 * (ranked.answers - ranked.wrong) / (ranked.answers + present.sum())
    return Choice(float(ranked.scores[f1.argmax()]), guaranteed=False)
