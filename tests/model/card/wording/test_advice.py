"""Advice follows from what was measured: more photos, the classes confused, and the verdicts."""

from typing import Any

import pytest

from tests.model.card.summaries import plain, summary
from whisker.model.card.metrics import CurvePoint, LearningCurve
from whisker.model.card.wording.advice import advise, describe_learning_curve

CURVE = {
    "measured": [{"photos": 50, "accuracy": 0.7, "accuracy_95_interval": [0.6, 0.8]}],
    "doubled": {"photos": 200, "accuracy": 0.9, "accuracy_95_interval": [0.85, 0.95]},
    "gains": [0.0, 0.2],
}
TEST = {"photos": 100, "accuracy": 0.8, "confusion": [[45, 5], [15, 35]]}


def advice(*, shown: bool = True, **metrics: Any) -> list[str]:
    return plain(advise(summary(metrics, shown=shown)))


def test_more_photos_are_asked_for_where_they_help() -> None:
    assert advice(test=TEST, learning_curve=CURVE)[0] == (
        "Add photos, of dog first: twice as many would bring about 90.0 % right answers."
    )


def test_other_photos_are_asked_for_where_more_would_not_help() -> None:
    good = TEST | {"accuracy": 0.895}
    assert advice(test=good, learning_curve=CURVE)[0].startswith("Twice as many photos like these would bring little")


@pytest.mark.parametrize(("photos", "words"), [(60, "Start from pretrained weights"), (5_000, "train on half of them")])
def test_pretrained_weights_are_suggested_where_few_photos_had_to_do_without(photos: int, words: str) -> None:
    made = {"pretrained": "", "data": {"photos": {"cat": photos, "dog": photos}}}
    assert words in plain(advise(summary({"test": TEST}, made)))[0]


def test_more_photos_are_asked_for_where_no_answer_is_confident() -> None:
    sentences = advice(shown=False, test=TEST | {"accuracy": 0.895}, learning_curve=CURVE)
    assert sentences[0].startswith("Add photos: twice as many would hardly bring more right answers, but may show")


def test_classes_that_are_confused_most_are_named() -> None:
    assert advice(test=TEST)[1].startswith("Photos of dog are most often taken for cat (15 of 50): check their labels")
    nearly = {"photos": 100, "accuracy": 0.99, "confusion": [[50, 0], [1, 49]]}
    assert "one by one (dog answered as cat is the most common)" in advice(test=nearly)[1]
    perfect = {"photos": 100, "accuracy": 1.0, "confusion": [[50, 0], [0, 50]]}
    assert advice(test=perfect)[1].startswith("No photo was confused with another class")


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"shown": False}, "No answer is called confident"),
        ({"unknown": {"false_alarms": 1, "of": 9, "outliers": None}}, "--outliers"),
        ({"confident": {"answers": 80, "of": 100, "wrong": 0, "promised": True}}, "the 20 % of answers that are not"),
    ],
)
def test_verdicts_get_the_advice_that_they_need(metrics: dict[str, Any], words: str) -> None:
    assert words in advice(test=TEST, **metrics)[2]


def test_nothing_measured_is_nothing_advised() -> None:
    assert advice() == []


def test_learning_curve_is_one_sentence() -> None:
    curve = LearningCurve((), CurvePoint(200, 0.9, (0.85, 0.95)), (0.0, 0.2))
    sentence = describe_learning_curve(curve, ("cat", "dog")).replace("\N{NO-BREAK SPACE}", " ")
    assert sentence == (
        "With twice as many photos (200), expect about 90.0 % (95 % interval 85.0 % to 95.0 %); dog would gain most."
    )
