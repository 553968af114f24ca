"""Each sentence says what was measured, and nothing where nothing was."""

from typing import Any

import pytest

from tests.model.card.summaries import plain, summary
from whisker.model.card.metrics import ConfidentMetrics, CrossValidationMetrics, SplitMetrics, TestMetrics
from whisker.model.card.wording.sentences import (
    TEST_SPLIT_USE,
    describe_accuracy,
    describe_confident_answers,
    describe_limits,
    describe_promise,
    describe_training_data,
    describe_unknown_limit,
    warn_of_few_test_photos,
)

EXTENSION = {"new_classes": ["bird"], "new_photos": 9, "new_accuracy": 1.0, "drawn": 3}
UNKNOWN = {"false_alarms": 51, "of": 1129, "outliers": {"caught": 2262, "of": 2375}}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Knows 2 classes: cat, dog."),
        (
            {"photos": {"cat": 700, "dog": 800}},
            "Knows 2 classes, from 1,500 photos, some of them kept for validation and testing.",
        ),
        (
            {"photos": {"cat": 700, "dog": 800}, "train": 1200, "validation": 150, "test": 150},
            "Knows 2 classes, from 1,500 photos: 1,200 for training, 150 for validation and 150 for testing.",
        ),
    ],
)
def test_training_data_is_counted(data: dict[str, Any], sentence: str) -> None:
    assert describe_training_data(summary(provenance={"data": data})) == sentence


def test_accuracy_comes_with_its_interval_and_calibration() -> None:
    test = SplitMetrics(1129, 0.9787, (0.9686, 0.9857), expected_calibration_error=0.264)
    assert plain(describe_accuracy(TestMetrics(test=test))) == [
        f"97.9 % correct on 1,129 test photos (95 % interval 96.9 % to 98.6 %). {TEST_SPLIT_USE}",
        "On average, scores differ from the accuracy by 26.4 percentage points; 0 would be perfect.",
    ]
    assert plain(describe_accuracy(TestMetrics(test=SplitMetrics(accuracy=0.5)))) == []


def test_cross_validation_is_told() -> None:
    metrics = TestMetrics(test=SplitMetrics(250, 0.82), cross_validation=CrossValidationMetrics(folds=5, repeats=4))
    (sentence,) = plain(describe_accuracy(metrics))
    assert sentence.startswith("82.0 % correct on 250 photos. Each photo was answered by networks that were trained")
    assert "(5-fold cross-validation, 4 times)" in sentence
    data = {"photos": {"cat": 125, "dog": 125}, "train": 250}
    document = summary({"cross_validation": {"folds": 5, "repeats": 1}}, provenance={"data": data})
    assert describe_training_data(document).endswith("all of them for training; it was tested by cross-validation.")


@pytest.mark.parametrize(
    ("confident", "sentences"),
    [
        (ConfidentMetrics(6, 9, 1), ["6 of 9 answers were confident, and 1 of those was wrong (16.7 %)."]),
        (
            ConfidentMetrics(1059, 1129, 5),
            ["1,059 of 1,129 answers were confident, and 5 of those were wrong (0.5 %)."],
        ),
        (ConfidentMetrics(0, 9, 0), []),
    ],
)
def test_confident_answers_are_counted(confident: ConfidentMetrics, sentences: list[str]) -> None:
    assert plain(describe_confident_answers(confident)) == sentences


@pytest.mark.parametrize(
    ("photos", "sentences"),
    [
        (1, ["With only 1 test photo, every figure is a rough estimate."]),
        (99, ["With only 99 test photos, every figure is a rough estimate."]),
        (100, []),
        (0, []),
        (None, []),
    ],
)
def test_few_test_photos_are_warned_of(photos: int | None, sentences: list[str]) -> None:
    assert [*warn_of_few_test_photos(TestMetrics(test=SplitMetrics(photos=photos)))] == sentences


def test_unknown_verdict_is_described_by_what_was_measured() -> None:
    assert "It has no “unknown” verdict" in describe_unknown_limit(summary(knows_novelty=False))
    for metrics in ({}, {"unknown": {"false_alarms": 1, "of": 9, "outliers": None}}):
        assert "was not measured" in describe_unknown_limit(summary(metrics))
    assert plain([describe_unknown_limit(summary({"unknown": UNKNOWN}))]) == [
        (
            "Its “unknown” verdict flagged 2,262 of 2,375 unrelated photos (95.2 %) and, wrongly, 51 of 1,129 photos "
            "of known classes (4.5 %). It may flag more or fewer of other kinds of photos."
        )
    ]


def test_limits_are_those_that_apply() -> None:
    many = summary({"test": {"photos": 400, "accuracy_95_interval": [0.9, 0.94], "confusion": [[200, 0], [9, 191]]}})
    (resolution, source, _, labels) = plain(describe_limits(many))
    assert resolution.startswith("With 400 test photos, the accuracy is known to within about 2.0 percentage points.")
    assert "same folders" in source
    assert labels.startswith("Labels are taken as correct")
    classes = [f"class {i}" for i in range(7)]
    metrics = {
        "test": {
            "photos": 21,
            "confusion": [[3 if i == j else 0 for j in range(7)] for i in range(7)],
        },
        "confident": {"answers": 9, "of": 9, "wrong": 0, "promised": False, "promised_precision": 0.99},
    }
    few = plain(describe_limits(summary(metrics, {"pretrained": "f" * 64}, classes=classes, shown=False)))
    assert few[0] == "With only 21 test photos, every figure is a rough estimate."
    assert few[2].startswith("Fewer than 10 test photos each: class 0, class 1, class 2, class 3, class 4 and 2 more.")
    assert few[4].startswith("The photos did not show that 99.0 % of confident answers would be right, so no answer")
    assert few[5].startswith("Training started from pretrained weights.")
    student = plain(
        describe_limits(summary(provenance={"pretrained": "", "method": "Distilled from efficientnet-lite"}))
    )
    assert any(sentence.startswith("Its teacher's training started from pretrained weights.") for sentence in student)


@pytest.mark.parametrize(
    ("shown", "metrics", "words"),
    [
        (False, {}, "so no answer is called confident. To change that, add photos"),
        (True, {}, "would be right: rely on the measured share, and on its interval."),  # of an older version
        (
            False,
            {"extension": {"new_classes": ["bird"], "new_photos": 9, "new_accuracy": 1.0, "drawn": 3}},
            "Classes were added without the photos of the others",
        ),
    ],
)
def test_precision_that_is_not_shown_is_told_as_the_service_treats_it(
    shown: bool,  # noqa: FBT001
    metrics: dict[str, Any],
    words: str,
) -> None:
    confident = {"answers": 40, "of": 50, "wrong": 1, "promised_precision": 0.99, "promised": False}
    (sentence,) = plain(describe_promise(summary({"confident": confident} | metrics, shown=shown)))
    assert words in sentence
