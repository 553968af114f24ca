"""A profile: how often each class is in the answers, and how sure answers are, on photos like those of the training.

It is measured on the test split. A service compares its own answers with it (`whisker.app.inference.drift`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORE_EDGES = (0.5, 0.7, 0.9, 0.95, 0.99)  # between the bins of the best class's score
_MIN_SHARE = 1e-3  # of a class in a comparison: one that was never the answer must not decide it alone
_KEYS = ("labels", "score_edges", "scores")


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of answers, each 0..1: by their label, and by the bin of the best class's score.

    The shares of labels add up to 1 only if each answer has exactly one. `rest` has the unknown keys of a profile that
    was read from JSON.
    """

    labels: Mapping[str, float]
    scores: tuple[float, ...]
    rest: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def measure(cls, probabilities: "NDArray[np.float32]", classes: Sequence[str]) -> Self:
        """Measure single-label answers, probabilities `[N, classes]`."""
        import numpy as np  # noqa: PLC0415 - a service that compares has none

        labels = np.bincount(probabilities.argmax(1), minlength=len(classes)) / len(probabilities)
        return cls._of(labels, probabilities, classes)

    @classmethod
    def measure_labels(
        cls, found: "NDArray[np.bool_]", probabilities: "NDArray[np.float32]", classes: Sequence[str]
    ) -> Self:
        """Measure multi-label answers: the labels found `[N, classes]`, and probabilities of that shape."""
        return cls._of(found.mean(0), probabilities, classes)

    @classmethod
    def _of(cls, labels: "NDArray[np.float64]", probabilities: "NDArray[np.float32]", classes: Sequence[str]) -> Self:
        import numpy as np  # noqa: PLC0415 - as above

        bins = np.digitize(probabilities.max(1), SCORE_EDGES)
        scores = np.bincount(bins, minlength=len(SCORE_EDGES) + 1) / len(probabilities)
        return cls(
            {name: round(share, 6) for name, share in zip(classes, labels.tolist(), strict=True)},
            tuple(round(share, 6) for share in scores.tolist()),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the object that `from_json` reads."""
        return {**self.rest, "labels": dict(self.labels), "score_edges": list(SCORE_EDGES), "scores": list(self.scores)}

    @classmethod
    def from_json(cls, document: object) -> Self | None:
        """Read the `profile` of a checkpoint's metrics; `None` if there is none, or one with other bins."""
        if not isinstance(document, Mapping) or document.get("score_edges") != list(SCORE_EDGES):
            return None
        labels, scores = document.get("labels"), document.get("scores")
        if not isinstance(labels, Mapping) or not isinstance(scores, list) or len(scores) != len(SCORE_EDGES) + 1:
            return None
        if not all(type(share) in (int, float) for share in (*labels.values(), *scores)):
            return None
        rest = {key: value for key, value in document.items() if key not in _KEYS}
        return cls(dict(labels), tuple(scores), rest)


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Compare two lists of shares: the population stability index, 0 if they are the same.

    Up to 0.1 counts as the same, above 0.25 as another population (Siddiqi 2006, Credit Risk Scorecards).
    """
    pairs = ((max(p, _MIN_SHARE), max(q, _MIN_SHARE)) for p, q in zip(expected, found, strict=True))
    return math.fsum((q - p) * math.log(q / p) for p, q in pairs)


def largest_stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Compare shares that do not exclude each other: the stability index of the one that differs most.

    Each is a population of its own, of the answers with a label and those without it.
    """
    return max((stability_index((p, 1 - p), (q, 1 - q)) for p, q in zip(expected, found, strict=True)), default=0.0)
