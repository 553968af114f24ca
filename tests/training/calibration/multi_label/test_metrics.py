"""Average precision as the field defines it, F1 by hand, and each label's shares with their intervals."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisker.model.card.metrics import ConfidentMetrics, Figures, TestMetrics
from whisker.model.checkpoint.contents import Thresholds
from whisker.training.calibration.metrics import wilson_interval
from whisker.training.calibration.multi_label.metrics import (
    MultiLabelEvaluation,
    average_precision,
    count_confident_labels,
    evaluate_labels,
)


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.8333),  # the example of scikit-learn's documentation
        ([0.9, 0.8, 0.7], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.7], [0, 0, 1], 1 / 3),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),  # of equal scores none comes first
        ([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 0.5 * 1 + 0.5 * 2 / 3),
        ([0.3], [1], 1.0),
    ],
)
def test_average_precision_has_known_values(scores: list[float], present: list[int], expected: float) -> None:
    found = average_precision(np.array(scores, np.float32), np.array(present, np.bool_))
    assert found == pytest.approx(expected, abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_average_precision_is_the_sum_over_every_threshold(photos: list[tuple[int, bool]]) -> None:
    """Computed by its definition: each threshold's precision times the recall that it adds."""
    scores, present = np.array([score for score, _ in photos], np.float32), np.array([has for _, has in photos])
    having, recall, area = present.sum(), 0.0, 0.0
    for threshold in sorted({*scores.tolist()}, reverse=True):
        found = scores >= threshold
        right = (found & present).sum()
        area += right / found.sum() * (right / max(having, 1) - recall)
        recall = right / max(having, 1)
    if having:
        assert average_precision(scores, present) == pytest.approx(area)
    else:
        assert average_precision(scores, present) is None


PROBABILITIES = np.array([[0.9, 0.6, 0.1], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.4, 0.9]], np.float32)
PRESENT = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], np.bool_)
THRESHOLDS = Thresholds(labels=(0.5, 0.5, 0.5), guaranteed=(True, False, True))


def test_evaluation_counts_what_happened() -> None:
    result = evaluate_labels(PROBABILITIES, PRESENT, THRESHOLDS, target_precisions=[0.9, 0.9, 0.9])
    first, second, third = result.labels
    assert (first.photos, first.answered, first.right) == (2, 2, 1)
    assert (first.recall, first.precision, first.f1) == (0.5, 0.5, 0.5)
    assert first.recall_95_interval == pytest.approx(wilson_interval(1, 2), abs=1e-4)
    assert (second.photos, second.answered, second.right, second.precision, second.f1) == (3, 2, 2, 1.0, 0.8)
    assert (third.photos, third.answered, third.recall, third.precision, third.f1) == (0, 1, None, 0.0, 0.0)
    assert [label.average_precision for label in result.labels] == [pytest.approx(0.8333), 1.0, None]
    assert (second.threshold, second.target_precision, second.guaranteed) == (0.5, 0.9, False)
    # The third label, which no photo has, counts in the micro F1 alone.
    assert result.mean_average_precision == pytest.approx((5 / 6 + 1) / 2)
    assert result.micro_f1 == pytest.approx(2 * 3 / (5 + 5))
    assert result.macro_f1 == pytest.approx((0.5 + 0.8) / 2)
    assert str(result) == "mAP 91.7%, micro F1 60.0%, macro F1 65.0% (4 photos)"
    assert [*result.describe()] == [
        "Mean average precision: 91.7% (4 photos)",
        "F1 at the thresholds: micro 60.0%, macro 65.0%",
    ]
    assert [*result.describe_classes(("a", "b", "c"))] == [
        "a: in 2 photos, found in 2, 1 of them correctly; average precision 83.3%",
        "b: in 3 photos, found in 2, 2 of them correctly; average precision 100.0%",
        "c: in 0 photos, found in 1, 0 of them correctly",
    ]


def test_evaluation_is_read_from_what_a_checkpoint_stores() -> None:
    result = evaluate_labels(PROBABILITIES, PRESENT, THRESHOLDS)
    metrics = TestMetrics(test=result.to_metrics(), figures=Figures(per_label=result.labels))
    stored = TestMetrics.from_json(json.loads(json.dumps(metrics.to_json())))
    assert [*stored.unread()] == []
    read = MultiLabelEvaluation.from_metrics(stored)
    assert read is not None
    assert read.labels == result.labels
    assert read.mean_average_precision == pytest.approx(result.mean_average_precision, abs=1e-4)
    assert MultiLabelEvaluation.from_metrics(TestMetrics(test=result.to_metrics())) is None
    assert MultiLabelEvaluation.from_metrics(TestMetrics(figures=Figures(per_label=result.labels))) is None
    assert result.to_json()["per_label"] == [label.to_json() for label in result.labels]


def test_confident_answer_is_wrong_if_it_names_a_label_too_many() -> None:
    found = np.array([[1, 0], [1, 1], [0, 0], [1, 1]], np.bool_)
    present = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], np.bool_)
    counted = count_confident_labels(["confident", "confident", "confident", "unsure"], found, present)
    low, high = wilson_interval(1, 3)
    assert counted == ConfidentMetrics(3, 4, 1, (round(low, 4), round(high, 4)))
    assert count_confident_labels(["unsure"] * 4, found, present) == ConfidentMetrics(0, 4, 0)
