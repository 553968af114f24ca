"""A profile: how often each class is the answer, and how sure answers are, on photos like those a network was taught.

It is measured on the test side, and is what a service compares its own answers with (`whisker.app.inference.drift`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SCORE_EDGES = (0.5, 0.7, 0.9, 0.95, 0.99)  # between the bins of the best class's score
_MIN_SHARE = 1e-3  # a class that was never the answer shall not decide alone


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares, each 0..1: of answers by their label, and by the bin of their score."""

    labels: Mapping[str, float]
    scores: tuple[float, ...]

    @classmethod
    def measure(cls, probabilities: NDArray[np.float32], classes: Sequence[str]) -> Self:
        """Measure answers, probabilities `[N, classes]`."""
        labels = np.bincount(probabilities.argmax(1), minlength=len(classes)) / len(probabilities)
        bins = np.digitize(probabilities.max(1), SCORE_EDGES)
        scores = np.bincount(bins, minlength=len(SCORE_EDGES) + 1) / len(probabilities)
        return cls(
            {name: round(share, 6) for name, share in zip(classes, labels.tolist(), strict=True)},
            tuple(round(share, 6) for share in scores.tolist()),
        )

    def to_json(self) -> dict[str, Any]:
        """Give what `from_json` reads."""
        return {"labels": dict(self.labels), "score_edges": list(SCORE_EDGES), "scores": list(self.scores)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Self | None:
        """Read what a checkpoint's metrics have as `profile`; `None` if it has none, or other bins."""
        if document is None or document.get("score_edges") != list(SCORE_EDGES):
            return None
        return cls(document["labels"], tuple(document["scores"]))


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Compare two lists of shares: the population stability index, 0 if they are the same.

    Up to 0.1 counts as the same, above 0.25 as another population (Siddiqi 2006, Credit Risk Scorecards).
    """
    p, q = (np.maximum(shares, _MIN_SHARE) for shares in (expected, found))
    return float(((q - p) * np.log(q / p)).sum())
