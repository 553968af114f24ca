"""Answers in words, and what confident ones are worth."""

from typing import Any

import pytest

from tests.model.card.test_overview import card
from whisker.app.inference.wire import PredictionDocument
from whisker.app.page.verdicts import Promise, promise_of, tell

_ANSWER: PredictionDocument = {
    "label": "cat",
    "score": 0.54,
    "verdict": "unsure",
    "unknown_score": None,
    "predictions": [{"label": "cat", "score": 0.54}, {"label": "dog", "score": 0.46}],
    "image": {"width": 40, "height": 30, "format": "PNG"},
    "reason": "The best score is too low to rely on.",
}
_PROVEN, _UNPROVEN = Promise("They are right.", is_proven=True), Promise("Nobody knows.", is_proven=False)


@pytest.mark.parametrize(
    ("changes", "promise", "badge", "heading", "explanation"),
    [
        ({"verdict": "confident"}, _PROVEN, "Confident", "cat", "They are right."),
        ({"verdict": "confident"}, _UNPROVEN, "Confident, but untested", "cat", "Nobody knows."),
        ({}, _PROVEN, "Not sure", "Perhaps cat", "The best score is too low to rely on."),
        ({"verdict": "unknown"}, _PROVEN, "Unlike the training photos", "Closest class: cat", "probably wrong."),
        (
            {"verdict": "confident", "labels": []},
            _PROVEN,
            "Confident",
            "None of the labels",
            "comes near its threshold.",
        ),
        ({"labels": []}, _PROVEN, "Not sure", "Perhaps none of the labels", "The best score"),
        ({"verdict": "unknown", "labels": []}, _PROVEN, "Unlike", "Closest label: cat", "probably wrong."),
    ],
)
def test_every_verdict_has_a_badge_and_a_sentence(
    changes: Any, promise: Promise, badge: str, heading: str, explanation: str
) -> None:
    told = tell({**_ANSWER, **changes}, promise)
    assert badge in told.badge
    assert told.lead + told.names == heading
    assert explanation in told.explanation


@pytest.mark.parametrize(
    ("confident", "shown", "is_proven"),
    [
        ({"promised": True}, True, True),
        ({"promised": True}, False, False),
        ({"promised": False}, True, False),
        (None, True, False),
    ],
)
def test_promise_is_proven_only_if_photos_have_shown_it(confident: Any, *, shown: bool, is_proven: bool) -> None:
    measured = {"answers": 9, "of": 10, "wrong": 0, "promised_precision": 0.99}
    metrics = {} if confident is None else {"confident": measured | confident}
    promise = promise_of(card(["cat", "dog"], metrics=metrics) | {"shown": shown})
    assert promise.is_proven is is_proven
    assert promise.sentence.startswith("At least 99\N{NO-BREAK SPACE}%" if is_proven else "No test has shown")


def test_promise_of_several_labels_is_one_of_each() -> None:
    found = {"photos": 40, "answered": 30, "right": 27, "recall": 0.675, "precision": 0.9, "average_precision": 0.9}
    labels = [found | {"threshold": 0.62, "target_precision": 0.9, "guaranteed": True}] * 2
    several = card(["cat", "dog"], task="multi-label", metrics={"figures": {"per_label": labels}})
    assert promise_of(several).sentence.startswith("Of the photos in which a label is found, at least 90")
