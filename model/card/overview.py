"""A checkpoint's overview for its page: what the template of `/card` shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from whisker.model.answers.kinds import Task
from whisker.model.card.confusion import photos_of_classes, wrong_cells
from whisker.model.card.confusion_table import ConfusionTable, tabulate
from whisker.model.card.document import CheckpointCard
from whisker.model.card.metrics import ClassMetrics, LabelMetrics
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.advice import describe_learning_curve
from whisker.model.card.wording.extension import describe_extension
from whisker.model.card.wording.facts import (
    Fact,
    date_fact,
    hash_fact,
    input_fact,
    known,
    network_fact,
    training_fact,
    weights_fact,
)
from whisker.model.card.wording.formats import format_score, percent
from whisker.model.card.wording.imported import comparison_fact, describe_unmeasured, import_fact
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

_MAX_CLASSES_LISTED = 1_000
_FOLDED_FROM = 12  # classes, above which the table is folded away, and the matrix does not show everything at a glance
_FEW = 10  # pairs and classes that are named in its place


class ClassRow(TypedDict):
    """A row of the table of classes, as it is written; the last two are of a multi-label checkpoint alone."""

    label: str
    photos: str
    recall: str
    precision: str
    threshold: str
    guarantee: str


class ConfusedPair(TypedDict):
    """Photos of a class that got the answer of another one, and their share in words."""

    label: str
    answer: str
    share: str


class Overview(TypedDict):
    """What is known of a checkpoint; what was not measured is empty."""

    task: Task
    training_data: str
    photos: Mapping[str, int]
    tested_on: str
    per_class: bool
    classes: int
    rows: list[ClassRow]
    folded_from: int
    hardest: list[ClassRow]
    accuracy: list[str]
    confusion: ConfusionTable | None
    pairs: list[ConfusedPair]
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
        "classes": len(summary.classes),
        "folded_from": _FOLDED_FROM,
        "hardest": _hardest(rows, measured),
        "rows": rows if summary.task == "single-label" else _with_thresholds(rows, card, label_metrics(summary)),
        "accuracy": [*(_accuracy(summary) if summary.task == "single-label" else describe_labels(summary))],
        "confusion": tabulate(summary.classes, metrics.test.confusion if metrics.test else None),
        "pairs": _pairs(summary) if len(summary.classes) > _FOLDED_FROM else [],
        "limits": [describe_input_limit(summary), describe_unknown_limit(summary)],
        "facts": known(
            network_fact(summary),
            input_fact(summary),
            ("Engine", f"{card['engine']} on {card['device']}"),
            training_fact(summary),
            weights_fact(summary),
            import_fact(summary),
            comparison_fact(summary),
            date_fact(summary),
            hash_fact(summary),
        ),
    }


def _measured_classes(summary: CheckpointSummary) -> Sequence[ClassMetrics]:
    figures = summary.metrics.figures
    return (figures.per_class if figures else None) or label_metrics(summary)


def _accuracy(summary: CheckpointSummary) -> Iterator[str]:
    confident, curve = summary.metrics.confident, summary.metrics.learning_curve
    yield from describe_accuracy(summary.metrics, is_imported=summary.provenance.imported is not None)
    if summary.provenance.imported is not None:
        yield from describe_unmeasured(summary)
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


def _hardest(rows: Sequence[ClassRow], measured: Sequence[ClassMetrics]) -> list[ClassRow]:
    """Choose the classes with the lowest recall."""
    recalls = [(it.recall, row) for row, it in zip(rows, measured, strict=False) if it.recall is not None]
    return [row for _, row in sorted(recalls, key=lambda it: it[0])[:_FEW]]


def _pairs(summary: CheckpointSummary) -> list[ConfusedPair]:
    """List the most common confusions."""
    cells = summary.metrics.test.cells if summary.metrics.test else None
    if not cells:
        return []
    photos = photos_of_classes(cells, len(summary.classes))
    return [
        {
            "label": summary.classes[label],
            "answer": summary.classes[answer],
            "share": f"{count:,} of {photos[label]:,} ({percent(count / photos[label])})",
        }
        for label, answer, count in wrong_cells(cells)[:_FEW]
    ]
