"""What only the report of a single-label checkpoint shows: accuracy, confusion matrix, and the most confused pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from whisker.model.card.confusion import Cell, photos_of_classes, wrong_cells
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.facts import list_confidence_facts
from whisker.training.calibration.metrics import Evaluation
from whisker.training.report.plots import MAX_NUMBERED, draw_confusion

_MAX_PAIRS = 20  # rows of the table of confused pairs
_MAX_DRAWN = 500  # rows of the matrix: more would be smaller than a pixel
_FEW_PAIRS = 8  # rows of it beside a matrix that shows all pairs


def class_sections(summary: CheckpointSummary) -> dict[str, Any] | None:
    """Gather it for the template; give `None` for metrics that are not those of a training of these classes."""
    metrics, classes = summary.metrics, len(summary.classes)
    test = Evaluation.from_metrics(metrics.test, classes)
    per_class = metrics.figures.per_class if metrics.figures else None
    if test is None or not test.cells or (per_class is not None and len(per_class) != classes):
        return None
    photos = photos_of_classes(test.cells, classes)
    return {
        "test": test,
        "baseline": max(photos) / sum(photos),
        "axis": begin_axis(test.interval[0]),
        "confusion": Markup(_draw(test.cells, summary.classes)),  # noqa: S704 - it is escaped
        "neighbours": _neighbours(classes),
        "pairs": _confused_pairs(test.cells, photos, summary.classes),
        "confidence_facts": list_confidence_facts(summary),
        "confident_detail": _describe_threshold(summary),
        "curve_notes": [*_describe_curve(summary)],
    }


def _draw(cells: Sequence[Cell], classes: Sequence[str]) -> str:
    """Draw the confusion matrix; of very many classes, neighbours share a row and a column."""
    together = _neighbours(len(classes))
    side = -(-len(classes) // together)
    blocks = np.zeros((side, side), np.int64)
    labels, answers, counts = np.array(cells, np.int64).T
    np.add.at(blocks, (labels // together, answers // together), counts)
    return draw_confusion(blocks, classes, int(counts[labels == answers].sum()))


def _neighbours(classes: int) -> int:
    """Count the classes that share a row of the drawn matrix."""
    return -(-classes // _MAX_DRAWN)


def begin_axis(lowest: float) -> float:
    """Begin a scale that ends at 1 at the tenth below `lowest`, or a tenth lower if that is close to it."""
    return max(0.0, int(lowest * 10 - 0.2) / 10)


def _describe_threshold(summary: CheckpointSummary) -> str:
    """Say how many answers are confident, and by which threshold."""
    confident = summary.metrics.confident
    if confident is None:
        return ""
    how = (
        f"with a score of at least {summary.unsure:.3f}"
        if summary.metrics.cross_validation is None
        else "by thresholds that were chosen without the photo"
    )
    return f"{confident.answers:,} of {confident.of:,}, {how}"


def _describe_curve(summary: CheckpointSummary) -> Iterator[str]:
    """Say how the curves over the scores are related to the count of confident answers."""
    metrics = summary.metrics
    scores, unknown = metrics.figures.scores if metrics.figures else None, metrics.unknown
    if summary.shown and metrics.cross_validation is not None:
        yield (
            "The dashed line is the threshold in this checkpoint; for the number of confident answers, each was judged "
            "by a threshold that was chosen without its photo."
        )
    if scores and unknown and unknown.false_alarms:
        counted = sum(scores.right) + sum(scores.wrong)
        shown = "not shown" if metrics.test and counted < (metrics.test.photos or 0) else "among those shown"
        yield f"Photos called “unknown” are never confident, and {shown}."


@dataclass(frozen=True, slots=True)
class _ConfusedPair:
    """A class, a wrong answer, and for how many photos of the class, and which share of them, it was given."""

    label: str
    answer: str
    photos: int
    share: float


def _confused_pairs(cells: Sequence[Cell], photos: Sequence[int], classes: Sequence[str]) -> list[_ConfusedPair]:
    """List the pairs of a class and a wrong answer, the commonest first; `photos` are those of each class."""
    wrong = wrong_cells(cells)[: _MAX_PAIRS if len(classes) > MAX_NUMBERED else _FEW_PAIRS]
    return [_ConfusedPair(classes[i], classes[j], count, count / photos[i]) for i, j, count in wrong]
