"""A checkpoint's overview for its page: what the template of `/card` shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from whisker.model.answers.decision_rule import Task
from whisker.model.card.confusion import Confusion
from whisker.model.card.document import CheckpointCard
from whisker.model.card.metrics import ClassMetrics, LabelMetrics
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.advice import describe_learning_curve
from whisker.model.card.wording.extension import describe_extension
from whisker.model.card.wording.facts import Fact, date_fact, hash_fact, input_fact, known, network_fact, training_fact
from whisker.model.card.wording.formats import format_score, percent
from whisker.model.card.wording.labels import describe_guarantee, describe_labels, label_metrics
from whisker.model.card.wording.sentences import (
    describe_accuracy,
    describe_confident_answers,
    describe_input_limit,
    describe_promise,
    describe_training_data,
    describe_unknown_limit,
    test_photos,
    warn_of_few_test_photos,
)

_MAX_CLASSES_PICTURED = 30  # of a confusion matrix
_MAX_CLASSES_LISTED = 200


class ClassRow(TypedDict):
    """A row of the table of classes, as it is written; the last two are of a multi-label checkpoint alone."""

    label: str
    photos: str
    recall: str
    precision: str
    threshold: str
    guarantee: str


class Cell(TypedDict):
    """A cell of a confusion matrix; its `share` of the row, 0..1, is how dark it is."""

    row: int
    column: int
    count: int
    share: float


class ConfusionPicture(TypedDict):
    """A confusion matrix to draw."""

    classes: Sequence[str]
    cells: list[Cell]


class Overview(TypedDict):
    """What is known of a checkpoint; what was not measured is empty."""

    task: Task
    training_data: str
    photos: Mapping[str, int]
    tested_on: str
    per_class: bool
    rows: list[ClassRow]
    accuracy: list[str]
    confusion: ConfusionPicture | None
    limits: list[str]
    facts: list[Fact]


def describe(card: CheckpointCard) -> Overview:
    """Write what the template shows."""
    summary = CheckpointSummary.from_card(card)
    metrics, data = summary.metrics, summary.provenance.data
    measured = _measured_classes(summary)
    photos = data.photos if data and data.photos else {}
    rows = _rows(summary.classes[:_MAX_CLASSES_LISTED], photos, measured)
    return {
        "task": summary.task,
        "training_data": describe_training_data(summary),
        "photos": photos,
        "tested_on": test_photos(metrics),
        "per_class": bool(measured),
        "rows": rows if summary.task == "single-label" else _with_thresholds(rows, card, label_metrics(summary)),
        "accuracy": [*(_accuracy(summary) if summary.task == "single-label" else describe_labels(summary))],
        "confusion": _picture(summary.classes, metrics.test.confusion if metrics.test else None),
        "limits": [describe_input_limit(summary), describe_unknown_limit(summary)],
        "facts": known(
            network_fact(summary),
            input_fact(summary),
            ("Engine", f"{card['engine']} on {card['device']}"),
            training_fact(summary),
            date_fact(summary),
            hash_fact(summary),
        ),
    }


def _measured_classes(summary: CheckpointSummary) -> Sequence[ClassMetrics]:
    figures = summary.metrics.figures
    return (figures.per_class if figures else None) or label_metrics(summary)


def _accuracy(summary: CheckpointSummary) -> Iterator[str]:
    confident, curve = summary.metrics.confident, summary.metrics.learning_curve
    yield from describe_accuracy(summary.metrics)
    if summary.metrics.extension:
        yield from describe_extension(summary.metrics.extension)
    if confident:
        yield from describe_confident_answers(confident)
        yield from describe_promise(summary)
    if curve:
        yield describe_learning_curve(curve, summary.classes)
    yield from warn_of_few_test_photos(summary.metrics)


def _rows(classes: Sequence[str], photos: Mapping[str, int], measured: Sequence[ClassMetrics]) -> list[ClassRow]:
    return [_row(label, photos, measured[i] if i < len(measured) else None) for i, label in enumerate(classes)]


def _row(label: str, photos: Mapping[str, int], measured: ClassMetrics | None) -> ClassRow:
    return {
        "label": label,
        "photos": f"{photos.get(label, 0):,}",
        "recall": _share(measured.recall if measured else None),
        "precision": _share(measured.precision if measured else None),
        "threshold": "",
        "guarantee": "",
    }


def _with_thresholds(
    rows: Sequence[ClassRow], card: CheckpointCard, measured: Sequence[LabelMetrics]
) -> list[ClassRow]:
    """Add each label's threshold, and whether it keeps a precision."""
    return [
        {
            **row,
            "threshold": format_score(given["threshold"]),
            "guarantee": describe_guarantee(measured[i] if i < len(measured) else None, guaranteed=given["guaranteed"]),
        }
        for i, (row, given) in enumerate(zip(rows, card["label_thresholds"] or (), strict=False))
    ]


def _share(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else percent(value)


def _picture(classes: Sequence[str], confusion: Confusion | None) -> ConfusionPicture | None:
    if confusion is None or len(classes) > _MAX_CLASSES_PICTURED:
        return None
    cells: list[Cell] = [
        {"row": row, "column": column, "count": count, "share": round(count / max(1, sum(counts)), 4)}
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
    ]
    return {"classes": classes, "cells": cells}
