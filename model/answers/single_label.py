"""The rule of single-label checkpoints: every picture is of exactly one class, and one threshold decides about it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import DecisionRule, Prediction, Scores, Verdict, softmax
from whisker.model.answers.head import Head

LOW_SCORE = "The best score is too low to rely on."
UNLIKE = "The picture is unlike the training photos."
NOT_SHOWN = "No photos have shown from which score on answers can be relied on."


@dataclass(frozen=True, slots=True)
class SingleLabelRule(DecisionRule):
    """Answer with the best class; a best probability below `unsure` gets that verdict.

    So do all answers unless `shown` says that photos have shown confident ones to keep the precision they promise.
    """

    unsure: float
    shown: bool = True

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the softmax of the logits over the temperature."""
        return softmax(logits, self.temperature)

    def predictions(self, scores: Scores) -> list[Prediction]:
        """Return the prediction of each picture, with the reason unless it is confident."""
        return [replace(it, reason=self._reason(it.verdict)) for it in self._ranked(scores)]

    def evidence_weights(self, head: Head, index: int) -> NDArray[np.float32]:
        """Take out what is added to all logits alike: it changes no probability."""
        weights: NDArray[np.float32] = head.weight[index] - head.weight.mean(0)
        return weights

    def _reason(self, verdict: Verdict) -> str:
        if verdict == "unsure":
            return LOW_SCORE if self.shown else NOT_SHOWN
        return UNLIKE if verdict == "unknown" else ""

    def _is_sure(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        sure: NDArray[np.bool_] = (probabilities.max(1) >= self.unsure) & self.shown
        return sure
