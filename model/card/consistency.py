"""Metrics that can be written about: without the parts that cannot be those of a training of so many classes.

A checkpoint that somebody has made by hand may hold any numbers. What is said about it must not depend on that.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from whisker.model.card.confusion import are_possible
from whisker.model.card.metrics import (
    ConfidentMetrics,
    Figures,
    LearningCurve,
    SplitMetrics,
    TestMetrics,
    UnknownMetrics,
)

T = TypeVar("T")


def consistent(metrics: TestMetrics, classes: int) -> TestMetrics:
    """Leave out counts above their total or below 0, and what has another number of rows than there are classes."""
    return replace(
        metrics,
        validation=_split(metrics.validation, classes),
        test=_split(metrics.test, classes),
        learning_curve=_curve(metrics.learning_curve, classes),
        confident=_confident(metrics.confident),
        unknown=_unknown(metrics.unknown),
        figures=_figures(metrics.figures, classes),
    )


def _split(split: SplitMetrics | None, classes: int) -> SplitMetrics | None:
    if split is None:
        return None
    if split.confusion_cells is not None and not are_possible(split.confusion_cells, classes):
        split = replace(split, confusion_cells=None)
    if split.confusion is None:
        return split
    is_square = {len(split.confusion), *map(len, split.confusion)} == {classes}
    if is_square and all(min(row) >= 0 for row in split.confusion):
        return split
    return replace(split, confusion=None)


def _curve(curve: LearningCurve | None, classes: int) -> LearningCurve | None:
    return curve if curve is not None and len(curve.gains) in (0, classes) else None


def _confident(confident: ConfidentMetrics | None) -> ConfidentMetrics | None:
    fits = confident is not None and 0 <= confident.wrong <= confident.answers <= confident.of
    return confident if fits else None


def _unknown(unknown: UnknownMetrics | None) -> UnknownMetrics | None:
    if unknown is None or not 0 <= unknown.false_alarms <= unknown.of:
        return None
    outliers = unknown.outliers
    return unknown if outliers is None or 0 <= outliers.caught <= outliers.of else replace(unknown, outliers=None)


def _figures(figures: Figures | None, classes: int) -> Figures | None:
    if figures is None:
        return None
    per_class, per_label = _rows(figures.per_class, classes), _rows(figures.per_label, classes)
    return replace(figures, per_class=per_class, per_label=per_label)


def _rows(rows: Sequence[T] | None, classes: int) -> tuple[T, ...] | None:
    return tuple(rows) if rows is not None and len(rows) == classes else None
