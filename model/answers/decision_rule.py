"""The decision rule: from a network's outputs to scores and a verdict: confident, unsure or unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.novelty import UNKNOWN_SCORE, Novelty

Verdict = Literal["confident", "unsure", "unknown"]
Reason = Literal["low_score", "precision_not_shown", "unlike_training_photos"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class and its calibrated probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Each place's evidence for a class, float32 `[h, w]` in logits; below 0 it is against the class."""

    label: str
    heat: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one picture: every class, best first, and whether to trust the best one.

    `unknown_score` says how unlike the training photos the picture is: 0.1 is typical of photos of known classes, and
    above 0.5 the verdict is "unknown". It is `None` where the checkpoint has no measure of it. `reason` says why the
    answer is not confident: its score is low, the checkpoint's photos were too few to show that any score can be
    relied on, or the picture is unlike the training photos.
    """

    predictions: tuple[ClassScore, ...]
    verdict: Verdict
    unknown_score: float | None
    reason: Reason | None = None
    heat_map: HeatMap | None = None  # if requested

    @property
    def label(self) -> str:
        """Return the best class."""
        return self.predictions[0].label

    @property
    def score(self) -> float:
        """Return the calibrated probability of the best class."""
        return self.predictions[0].score


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output of a forward pass for N pictures: logits `[N, classes]` and features `[N, F]`, both float32.

    `maps`, if requested and available, are the feature maps float32 `[N, F, h, w]` whose means the features are.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    maps: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of N pictures: calibrated probabilities float32 `[N, classes]`, unknown scores `[N]` or `None`."""

    probabilities: NDArray[np.float32]
    unknown: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """How one checkpoint turns outputs into predictions.

    `classes[i]` belongs to column `i` of the logits; a best probability below `unsure` gets that verdict, and all do
    unless `shown` says that confident answers were shown to keep their promise.
    """

    classes: tuple[str, ...]
    temperature: float
    unsure: float
    novelty: Novelty | None
    shown: bool = True

    def scores(self, outputs: Outputs) -> Scores:
        """Compute probabilities, the softmax of the logits over the temperature, and unknown scores."""
        unknown = None if self.novelty is None else self.novelty.scores(outputs.features)
        return Scores(softmax(outputs.logits, self.temperature), unknown)

    def verdicts(self, scores: Scores) -> list[Verdict]:
        """Decide each verdict: unknown by the unknown score, otherwise confident or unsure by the best probability."""
        sure = (scores.probabilities.max(1) >= self.unsure) & self.shown
        strange = np.zeros(len(sure), bool) if scores.unknown is None else scores.unknown > UNKNOWN_SCORE
        return [
            "unknown" if odd else "confident" if good else "unsure" for odd, good in zip(strange, sure, strict=True)
        ]

    def predictions(self, scores: Scores) -> list[Prediction]:
        """Return the prediction of each picture."""
        unknown = [None] * len(scores.probabilities) if scores.unknown is None else scores.unknown.tolist()
        orders = np.argsort(-scores.probabilities, axis=1, kind="stable").tolist()
        rows = zip(orders, scores.probabilities.tolist(), self.verdicts(scores), unknown, strict=True)
        return [
            Prediction(self._ranked(order, probabilities), verdict, unknown_score, self._reason(verdict))
            for order, probabilities, verdict, unknown_score in rows
        ]

    def _reason(self, verdict: Verdict) -> Reason | None:
        if verdict == "unsure":
            return "low_score" if self.shown else "precision_not_shown"
        return "unlike_training_photos" if verdict == "unknown" else None

    def _ranked(self, order: Sequence[int], probabilities: Sequence[float]) -> tuple[ClassScore, ...]:
        return tuple([ClassScore(self.classes[index], probabilities[index]) for index in order])


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Turn logits `[N, classes]` over a temperature into probabilities of that shape."""
    scaled = logits / np.float32(temperature)
    powers = np.exp(scaled - scaled.max(1, keepdims=True))  # the largest is 1, so that none overflows
    probabilities: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
    return probabilities
