"""What only the report of a multi-label checkpoint shows: no confusion matrix, but each label at its threshold."""

from typing import Any

from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.labels import describe_guarantees, list_label_facts
from whisker.training.calibration.multi_label.metrics import MultiLabelEvaluation


def label_sections(summary: CheckpointSummary) -> dict[str, Any] | None:
    """Gather it for the template; give `None` for metrics that are not those of a training of these classes."""
    test = MultiLabelEvaluation.from_metrics(summary.metrics)
    if test is None or len(test.labels) != len(summary.classes):
        return None
    return {
        "test": test,
        "measured": sum(label.average_precision is not None for label in test.labels),
        "guarantees": [*describe_guarantees(test.labels)],
        "confidence_facts": list_label_facts(summary),
    }
