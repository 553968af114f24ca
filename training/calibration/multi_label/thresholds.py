"""What is chosen on the validation split for a multi-label checkpoint: a temperature, and a threshold a label."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whisker.model.checkpoint.contents import Thresholds
from whisker.training.calibration.thresholds import (
    PrecisionChoice,
    choose_shown_precision,
    least_temperature,
    rank_answers,
)


def fit_label_temperature(logits: NDArray[np.float32], present: NDArray[np.bool_], *, repeats: int = 1) -> float:
    """Find the temperature, within 0.05 to 20, under which sigmoids of logits `[N, classes]` are likeliest.

    One for all labels: with one each, rare labels would have too few photos to fit it. As in Platt 1999, the truth is
    smoothed by what the photos with and without a label can show: without that, N right answers would demand certainty.
    Each photo may be there `repeats` times.
    """
    values, having, lacking = logits.astype(np.float64), present.sum(0) / repeats, (~present).sum(0) / repeats
    targets = np.where(present, (having + 1) / (having + 2), 1 / (lacking + 2))

    def loss(inverse: float) -> float:
        scaled = values * inverse
        # -log sigmoid(x) is log(1 + exp(-x)), and -log(1 - sigmoid(x)) is x more.
        return float((np.logaddexp(0, -scaled) + (1 - targets) * scaled).mean())

    return least_temperature(loss)


def choose_label_thresholds(
    probabilities: NDArray[np.float32],
    present: NDArray[np.bool_],
    precision: float,
    *,
    lowest: float | None = None,
    repeats: float = 1,
) -> tuple[PrecisionChoice, ...]:
    """Choose a threshold for each label, given probabilities and labels `[N, classes]`, as `choose_label_threshold`."""
    return tuple(
        choose_label_threshold(scores, truth, precision, lowest=lowest, repeats=repeats)
        for scores, truth in zip(probabilities.T, present.T, strict=True)
    )


def thresholds_of(choices: Sequence[PrecisionChoice]) -> Thresholds:
    """Give the choices, one a label, as a checkpoint stores them."""
    return Thresholds(
        labels=tuple(choice.threshold for choice in choices), guaranteed=tuple(choice.guaranteed for choice in choices)
    )


def choose_label_threshold(
    scores: NDArray[np.float32],
    present: NDArray[np.bool_],
    precision: float,
    *,
    lowest: float | None = None,
    repeats: float = 1,
) -> PrecisionChoice:
    """Find the lowest score such that at least `precision` of the photos with that score or more have the label.

    `scores` and `present` are one label's, `[N * repeats]`, with each photo `repeats` times. The threshold is
    guaranteed if the photos show the precision with 95 % confidence or, failing that, a lower one down to `lowest`, by
    default none. Otherwise it is the score with the best F1 or, if no photo has the label, 1.0.
    """
    ranked = rank_answers(scores, present, repeats=repeats)
    shown = choose_shown_precision(ranked, precision, lowest=lowest)
    if shown is not None:
        return shown
    if not present.any():
        return PrecisionChoice(1.0, guaranteed=False, precision=precision)
    f1 = 2 * (ranked.answers - ranked.wrong) / (ranked.answers + present.sum() / repeats)
    return PrecisionChoice(float(ranked.scores[f1.argmax()]), guaranteed=False, precision=precision)
