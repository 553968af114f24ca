"""What is chosen on the validation split: a temperature, and the thresholds of the verdicts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.training.calibration.metrics import upper_bound

_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0
_UNSEEN_ERRORS = 0.5  # added to those seen: of few answers, none wrong is too little to expect none
_LOWER_PROMISES = (0.98, 0.97, 0.95)  # error-free answers that show them: 133, 88, 52; 0.99 takes 268


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, and whether the photos it was chosen on show, with 95 % confidence, that it meets its target."""

    threshold: float
    guaranteed: bool


@dataclass(frozen=True, slots=True)
class PrecisionChoice(Choice):
    """The threshold of "unsure", and the precision that it is shown to meet or, failing that, was to meet."""

    precision: float


def fit_temperature(logits: Tensor, labels: Tensor, *, repeats: int = 1) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017), within 0.05 to 20.

    The labels of logits `[N, classes]` are smoothed by what N photos can show (Laplace's rule of succession, as in
    Platt 1999): without smoothing, N right answers would demand certainty. Each photo may be there `repeats` times.
    """
    photos, classes = len(logits) / repeats, logits.shape[1]
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


def choose_unsure_threshold(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    precision: float,
    *,
    lowest: float | None = None,
    repeats: float = 1,
) -> PrecisionChoice:
    """Find the lowest score such that at least `precision` of the answers with that score or more are right.

    Where the photos cannot show that with 95 % confidence, the strictest of a few lower promises down to `lowest` is
    tried, by default none; the share that is right must seem to reach `precision` all the same. If none is shown, the
    threshold is the lowest score at which the plain share reaches `precision` or, failing that too, 1.0.

    `probabilities` `[N * repeats, K]` may hold each photo several times, from several cross-validations: repeats are
    no new evidence.
    """
    ranked = rank_answers(probabilities.max(1), probabilities.argmax(1) == labels, repeats=repeats)
    shown = choose_shown_precision(ranked, precision, lowest=lowest)
    if shown is not None:
        return shown
    seen = np.flatnonzero(ranked.wrong / ranked.answers <= 1 - precision)
    threshold = float(ranked.scores[seen[-1]]) if len(seen) else 1.0
    return PrecisionChoice(threshold, guaranteed=False, precision=precision)


def choose_shown_precision(
    ranked: "RankedAnswers", precision: float, *, lowest: float | None
) -> PrecisionChoice | None:
    """Find the lowest score that is shown to keep `precision` or, failing that, a lower promise down to `lowest`."""
    score = ranked.lowest_score_that_keeps(precision)
    if score is not None:
        return PrecisionChoice(score, guaranteed=True, precision=precision)
    likely = ranked.where((ranked.wrong + _UNSEEN_ERRORS) / ranked.answers <= 1 - precision)
    for promise in _LOWER_PROMISES:
        # Where the first wrong answer lies is chance: a score below the promise is no ground for it.
        score = likely.where(likely.scores >= promise).lowest_score_that_keeps(promise)
        if score is not None and lowest is not None and lowest <= promise < precision:
            return PrecisionChoice(score, guaranteed=True, precision=promise)
    return None


@dataclass(frozen=True, slots=True)
class RankedAnswers:
    """For each different score, the highest first, how many `answers` reach it, and how many `wrong` ones."""

    scores: NDArray[np.float32]
    answers: NDArray[np.float64]
    wrong: NDArray[np.float64]

    def where(self, kept: NDArray[np.bool_]) -> "RankedAnswers":
        """Keep only some of the scores."""
        return RankedAnswers(self.scores[kept], self.answers[kept], self.wrong[kept])

    def lowest_score_that_keeps(self, precision: float) -> float | None:
        """Find the lowest score whose answers show, with 95 % confidence, a precision of at least `precision`."""
        shown = np.flatnonzero(upper_bound(self.wrong, self.answers) <= 1 - precision)
        return float(self.scores[shown[-1]]) if len(shown) else None


def rank_answers(scores: NDArray[np.float32], right: NDArray[np.bool_], *, repeats: float = 1) -> RankedAnswers:
    """Rank N answers by their scores `[N]`; equal scores reach a threshold together or not at all.

    Each may be there `repeats` times: counts are divided by that.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, wrong = scores[order], (~right)[order].cumsum()
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, np.int64)
    return RankedAnswers(ordered[ends], (ends + 1) / repeats, wrong[ends] / repeats)


def choose_unknown_threshold(ood_scores: NDArray[np.float32], false_alarms: float) -> Choice:
    """Find the lowest threshold that at most a share `false_alarms` of known photos, with `ood_scores` `[N]`, exceed.

    It is guaranteed if the photos show that with 95 % confidence. Where few photos could show it only for a threshold
    that hardly any other thing exceeds, half of the share may exceed it, and nothing is guaranteed. It lies above all
    of very few photos, by a tenth of their range.
    """
    ordered = np.sort(ood_scores)[::-1]
    above = np.arange(len(ordered))  # photos that exceed a threshold which equals the i-th largest
    shown = np.flatnonzero(upper_bound(above, len(ordered)) <= false_alarms)
    likely = int(len(ordered) * false_alarms / 2)
    if len(shown) and shown[-1] >= likely:
        return Choice(float(ordered[shown[-1]]), guaranteed=True)
    if likely:
        return Choice(float(ordered[likely]), guaranteed=False)
    return Choice(float(ordered[0] + 0.1 * (ordered[0] - ordered[-1])), guaranteed=False)
