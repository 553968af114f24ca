"""What an exported file answers, and how far two answers are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import VERDICTS, DecisionRule, Scores
from whisker.model.answers.multi_label import MultiLabelRule


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers for N pictures.

    Probabilities are float32 `[N, classes]`, unknown scores float32 `[N]` (`None` where the checkpoint has no measure),
    verdicts places in `VERDICTS` `[N]`, and labels bool `[N, classes]` (`None` of a single-label checkpoint).
    """

    probabilities: NDArray[np.float32]
    unknown: NDArray[np.float32] | None
    verdicts: NDArray[np.int64]
    labels: NDArray[np.bool_] | None

    @classmethod
    def decide(cls, rule: DecisionRule, scores: Scores) -> "Answers":
        """Answer as Whisker does."""
        verdicts = np.array([VERDICTS.index(verdict) for verdict in rule.verdicts(scores)], np.int64)
        labels = rule.found(scores.probabilities) if isinstance(rule, MultiLabelRule) else None
        return cls(scores.probabilities, scores.unknown, verdicts, labels)

    @property
    def best(self) -> NDArray[np.generic]:
        """Give what counts as a picture's label: the best class `[N]` or, of a multi-label checkpoint, all labels."""
        return self.probabilities.argmax(1) if self.labels is None else self.labels

    def row(self, place: int) -> "Answers":
        """Give the answers for one picture alone."""
        unknown = None if self.unknown is None else self.unknown[place : place + 1]
        labels = None if self.labels is None else self.labels[place : place + 1]
        return Answers(self.probabilities[place : place + 1], unknown, self.verdicts[place : place + 1], labels)

    def obey(self, rule: DecisionRule) -> bool:
        """Tell whether verdicts and labels are those that the rule gives for these scores."""
        same = Answers.decide(rule, Scores(self.probabilities, self.unknown))
        labels = True if self.labels is None or same.labels is None else bool((self.labels == same.labels).all())
        return labels and bool((self.verdicts == same.verdicts).all())

    def difference(self, other: "Answers") -> float:
        """Give the largest difference of a probability or an unknown score; infinite if one is no number."""
        apart = [np.abs(self.probabilities - other.probabilities).max()]
        if self.unknown is not None and other.unknown is not None:
            apart.append(np.abs(self.unknown - other.unknown).max())
        largest = float(max(apart))
        return largest if all(np.isfinite(apart)) else float("inf")
