"""How good multi-label answers are: each label, and all of them together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import Verdict
from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import ConfidentMetrics, LabelMetrics, SplitMetrics, TestMetrics
from whisker.model.checkpoint.contents import Thresholds
from whisker.training.calibration.figures import share, share_interval
from whisker.training.calibration.thresholds import rank_answers

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class MultiLabelEvaluation:
    """How good answers for labelled photos are; `labels` has a row for each class.

    The mean average precision (mAP) and the macro F1 are means over the labels that any photo has. The micro F1 counts
    all labels of all photos alike.
    """

    photos: int
    mean_average_precision: float
    micro_f1: float
    macro_f1: float
    labels: tuple[LabelMetrics, ...]

    @classmethod
    def from_metrics(cls, metrics: TestMetrics) -> Self | None:
        """Read what a checkpoint has stored of its test; `None` unless all of it is there."""
        test, labels = metrics.test or SplitMetrics(), metrics.figures.per_label if metrics.figures else None
        precision, micro, macro = test.mean_average_precision, test.micro_f1, test.macro_f1
        if test.photos is None or precision is None or micro is None or macro is None or labels is None:
            return None
        return cls(test.photos, precision, micro, macro, labels)

    def to_metrics(self) -> SplitMetrics:
        """Give the figures as a checkpoint stores them; those of each label belong into its `Figures`."""
        return SplitMetrics(
            photos=self.photos,
            mean_average_precision=round(self.mean_average_precision, _DIGITS),
            micro_f1=round(self.micro_f1, _DIGITS),
            macro_f1=round(self.macro_f1, _DIGITS),
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Give the rounded figures as a JSON object, with those of each label."""
        return self.to_metrics().to_json() | {"per_label": [label.to_json() for label in self.labels]}

    def describe(self) -> Iterator[str]:
        """Write the figures, a line each."""
        yield f"Mean average precision: {self.mean_average_precision:.1%} ({self.photos:,} photos)"
        yield f"F1 at the thresholds: micro {self.micro_f1:.1%}, macro {self.macro_f1:.1%}"

    def describe_classes(self, classes: Sequence[str]) -> Iterator[str]:
        """Write how well each label was found."""
        for name, label in zip(classes, self.labels, strict=True):
            precision = "" if label.average_precision is None else f"; average precision {label.average_precision:.1%}"
            yield (
                f"{name}: in {label.photos:,} photos, found in {label.answered:,}, {label.right:,} of them correctly"
                f"{precision}"
            )

    def __str__(self) -> str:
        return (
            f"mAP {self.mean_average_precision:.1%}, micro F1 {self.micro_f1:.1%}, macro F1 {self.macro_f1:.1%} "
            f"({self.photos:,} photos)"
        )


def evaluate_labels(
    probabilities: NDArray[np.float32],
    present: NDArray[np.bool_],
    thresholds: Thresholds,
    *,
    target_precisions: Sequence[float] | None = None,
    found: NDArray[np.bool_] | None = None,
    repeats: int = 1,
) -> MultiLabelEvaluation:
    """Compare probabilities with the labels that are present, both `[N, classes]`; at least one label must be.

    Labels are `found` by the thresholds, unless they are given. Each photo may be there `repeats` times, from several
    cross-validations: counts are means over them. `target_precisions` are those of each label.
    """
    if found is None:
        found = probabilities >= np.array(thresholds.labels)
    photos, answered, right = (
        np.rint(marks.sum(0) / repeats).astype(int).tolist() for marks in (present, found, found & present)
    )
    precisions = [average_precision(*column) for column in zip(probabilities.T, present.T, strict=True)]
    labels = tuple(
        LabelMetrics(
            photos=photos[label],
            answered=answered[label],
            right=right[label],
            recall=share(right[label], photos[label]),
            recall_95_interval=share_interval(right[label], photos[label]),
            precision=share(right[label], answered[label]),
            precision_95_interval=share_interval(right[label], answered[label]),
            threshold=threshold,
            target_precision=None if target_precisions is None else target_precisions[label],
            guaranteed=thresholds.guaranteed[label],
            f1=share(2 * right[label], photos[label] + answered[label]),
            average_precision=None if precision is None else round(precision, _DIGITS),
        )
        for label, (threshold, precision) in enumerate(zip(thresholds.labels, precisions, strict=True))
    )
    f1 = [2 * hits / (having + finds) for hits, having, finds in zip(right, photos, answered, strict=True) if having]
    return MultiLabelEvaluation(
        photos=len(present) // repeats,
        mean_average_precision=float(np.mean([precision for precision in precisions if precision is not None])),
        micro_f1=2 * sum(right) / (sum(photos) + sum(answered)),
        macro_f1=float(np.mean(f1)),
        labels=labels,
    )


def average_precision(scores: NDArray[np.float32], present: NDArray[np.bool_]) -> float | None:
    """Sum the precision at each score, weighted by the recall that it adds; scores and truth are one label's, `[N]`.

    This is the area under the steps of the precision-recall curve, without interpolation, as scikit-learn's
    `average_precision_score` defines it. It is `None` for a label that no photo has, where scikit-learn gives 0.
    """
    having = int(present.sum())
    if not having:
        return None
    ranked = rank_answers(scores, present)
    right = ranked.answers - ranked.wrong
    return float((np.diff(right, prepend=0) * right / ranked.answers).sum() / having)


def count_confident_labels(
    verdicts: Sequence[Verdict], found: NDArray[np.bool_], present: NDArray[np.bool_], *, repeats: int = 1
) -> ConfidentMetrics:
    """Count the confident answers, and those among them that name a label which the photo does not have.

    `found` and `present` are the labels of the answers and of the photos, `[N, classes]`; each photo may be there
    `repeats` times.
    """
    confident = np.array([verdict == "confident" for verdict in verdicts])
    wrong = math.ceil((confident & ((found & ~present).sum(1) > 0)).sum() / repeats)
    answers = max(wrong, round(confident.sum() / repeats))
    return ConfidentMetrics(answers, len(verdicts) // repeats, wrong, share_interval(wrong, answers))
