"""The decision rule: from a network's outputs to scores and a verdict: confident, unsure or unknown.

Here is what all rules share; `single_label` and `multi_label` have one each.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.answers.kinds import TASKS, VERDICTS, Task, Verdict
from whisker.model.answers.novelty import UNKNOWN_SCORE, Novelty

__all__ = [
    "TASKS",
    "VERDICTS",
    "ClassScore",
    "DecisionRule",
    "HeatMap",
    "Outputs",
    "Prediction",
    "Scores",
    "Task",
    "Verdict",
    "sigmoid",
    "softmax",
]


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
    above 0.5 the verdict is "unknown". It is `None` where the checkpoint has no measure of it.

    Of a multi-label checkpoint, `labels` are the classes whose score reaches their threshold, best first; of a
    single-label one they are `None`. `reason` says why the answer is not confident; of a confident one, and of an
    unknown one of a multi-label checkpoint, it is empty. `features` are float32 `[F]`, if requested.
    """

    predictions: tuple[ClassScore, ...]
    verdict: Verdict
    unknown_score: float | None
    heat_map: HeatMap | None = None  # if requested
    labels: tuple[ClassScore, ...] | None = None
    reason: str = ""
    features: NDArray[np.float32] | None = None

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
class DecisionRule(ABC):
    """How one checkpoint turns outputs into predictions; `classes[i]` belongs to column `i` of the logits."""

    classes: tuple[str, ...]
    temperature: float
    novelty: Novelty | None

    @abstractmethod
    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn logits `[N, classes]` into calibrated probabilities of that shape."""

    @abstractmethod
    def predictions(self, scores: Scores) -> list[Prediction]:
        """Return the prediction of each picture."""

    @abstractmethod
    def evidence_weights(self, head: Head, index: int) -> NDArray[np.float32]:
        """Weigh the features by what they do to the probability of class `index`: float32 `[F]`, in logits."""

    @abstractmethod
    def _is_sure(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell for each picture, by its probabilities `[N, classes]` alone, whether to trust the answer: `[N]`."""

    def scores(self, outputs: Outputs) -> Scores:
        """Compute probabilities and unknown scores."""
        unknown = None if self.novelty is None else self.novelty.scores(outputs.features)
        return Scores(self.probabilities(outputs.logits), unknown)

    def verdicts(self, scores: Scores) -> list[Verdict]:
        """Decide each verdict: unknown by the unknown score, otherwise confident or unsure by the probabilities."""
        sure = self._is_sure(scores.probabilities)
        strange = np.zeros(len(sure), bool) if scores.unknown is None else scores.unknown > UNKNOWN_SCORE
        return [
            "unknown" if odd else "confident" if good else "unsure" for odd, good in zip(strange, sure, strict=True)
        ]

    def _ranked(self, scores: Scores) -> list[Prediction]:
        """Rank the classes of each picture, with its verdict."""
        unknown = [None] * len(scores.probabilities) if scores.unknown is None else scores.unknown.tolist()
        orders = np.argsort(-scores.probabilities, axis=1, kind="stable").tolist()
        rows = zip(orders, scores.probabilities.tolist(), self.verdicts(scores), unknown, strict=True)
        return [
            Prediction(self._class_scores(order, probabilities), verdict, unknown_score)
            for order, probabilities, verdict, unknown_score in rows
        ]

    def _class_scores(self, order: Sequence[int], probabilities: Sequence[float]) -> tuple[ClassScore, ...]:
        return tuple([ClassScore(self.classes[index], probabilities[index]) for index in order])


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Turn logits `[N, classes]` over a temperature into probabilities of that shape, which add up to 1."""
    scaled = logits / np.float32(temperature)
    powers = np.exp(scaled - scaled.max(1, keepdims=True))  # the largest is 1, so that none overflows
    probabilities: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
    return probabilities


def sigmoid(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Turn logits `[N, classes]` over a temperature into probabilities of that shape, each on its own."""
    # The logistic function, by tanh: exp would overflow.
    probabilities: NDArray[np.float32] = 0.5 + 0.5 * np.tanh(logits / np.float32(2 * temperature))
    return probabilities
