"""The rule of multi-label checkpoints: a picture shows any number of classes, and each has a threshold of its own.

Probabilities are independent of each other: sigmoids of the logits over one temperature. A class whose probability
reaches its threshold is a label of the picture. A threshold is guaranteed if the validation photos showed, with 95 %
confidence, that it keeps its target precision (`whisker.training.calibration.multi_label.thresholds`).

An answer is sure if every class is clearly there or clearly not: the thresholds of its labels are guaranteed, and all
other classes are more likely absent than present.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import DecisionRule, Prediction, Scores, sigmoid
from whisker.model.answers.head import Head
from whisker.model.errors import ConfigError

LIKELY = 0.5  # a calibrated probability from here on: the class is rather present than absent
_MAX_NAMED = 3  # classes in a sentence


@dataclass(frozen=True, slots=True)
class MultiLabelRule(DecisionRule):
    """Answer with the classes that reach their `thresholds`; `guaranteed` tells which of these keep their precision."""

    thresholds: tuple[float, ...]
    guaranteed: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Raise `ConfigError` unless there is a threshold for each class."""
        if not len(self.thresholds) == len(self.guaranteed) == len(self.classes):
            raise ConfigError(
                f"A multi-label checkpoint needs a threshold, and whether it is guaranteed, for each of its "
                f"{len(self.classes):,} classes, but has {len(self.thresholds):,} and {len(self.guaranteed):,}."
            )

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the sigmoid of each logit over the temperature."""
        return sigmoid(logits, self.temperature)

    def predictions(self, scores: Scores) -> list[Prediction]:
        """Return the prediction of each picture, with its labels."""
        found = self.found(scores.probabilities)
        missed, unproven = self._doubts(scores.probabilities)
        rows = zip(self._ranked(scores), found, missed, unproven, strict=True)
        return [self._label(*row) for row in rows]

    def evidence_weights(self, head: Head, index: int) -> NDArray[np.float32]:
        """Give the class's own weights: no other class's logit has a part in its probability."""
        weights: NDArray[np.float32] = head.weight[index]
        return weights

    def found(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which probabilities `[N, classes]` reach the threshold of their class."""
        found: NDArray[np.bool_] = probabilities >= np.array(self.thresholds)
        return found

    def _is_sure(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        missed, unproven = self._doubts(probabilities)
        sure: NDArray[np.bool_] = (missed | unproven).sum(1) == 0
        return sure

    def _doubts(self, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which classes `[N, classes]` are likely, but not labels, and which are labels without a guarantee."""
        found = self.found(probabilities)
        return ~found & (probabilities >= LIKELY), found & ~np.array(self.guaranteed)

    def _label(
        self,
        prediction: Prediction,
        found: NDArray[np.bool_],
        missed: NDArray[np.bool_],
        unproven: NDArray[np.bool_],
    ) -> Prediction:
        """Add labels to a ranked prediction and, if it is unsure, the reason."""
        labels = {*self._named(found)}
        return replace(
            prediction,
            labels=tuple([it for it in prediction.predictions if it.label in labels]),
            reason=_reason(self._named(missed), self._named(unproven)) if prediction.verdict == "unsure" else "",
        )

    def _named(self, which: NDArray[np.bool_]) -> list[str]:
        return [self.classes[index] for index in np.flatnonzero(which).tolist()]


def _reason(missed: Sequence[str], unproven: Sequence[str]) -> str:
    parts = []
    if missed:
        parts.append(f"Likely, but below the threshold: {_list(missed)}.")
    if unproven:
        parts.append(f"Found, but without a guaranteed precision: {_list(unproven)}.")
    return " ".join(parts)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
