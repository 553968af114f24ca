"""Each sentence says what was measured, and nothing where nothing was."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.model.card.summaries import summary
from whisker.model.card import text
from whisker.model.card.metrics import ConfidentMetrics, CrossValidationMetrics, SplitMetrics, TestMetrics

_UNKNOWN = {"false_alarms": 51, "of": 1129, "outliers": {"caught": 2262, "of": 2375}}


def plain(sentences: Iterable[str]) -> list[str]:
    """List sentences with ordinary spaces."""
    return [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in sentences]


def plain_facts(facts: Iterable[text.Fact]) -> dict[str, str]:
    return {term: value.replace("\N{NO-BREAK SPACE}", " ") for term, value in facts}


@pytest.mark.parametrize(
    ("score", "written"),
    [
        (0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.5449, "54.5 %"),
        (0.995, "99.5 %"),
        (0.999, "99.9 %"),
        (0.99951, "> 99.9 %"),
        (1, "100 %"),
    ],
)
def test_score_that_is_not_certain_never_looks_certain(score: float, written: str) -> None:
    assert plain([text.format_score(score)]) == [written]


def test_percent_has_a_space_that_does_not_break() -> None:
    assert text.percent(0.9787) == "97.9\N{NO-BREAK SPACE}%"
    assert text.percent(1, 0) == "100\N{NO-BREAK SPACE}%"


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
    assert text.describe_training_data(summary(provenance={"data": data})) == sentence


def test_accuracy_comes_with_its_interval_and_calibration() -> None:
    test = SplitMetrics(1129, 0.9787, (0.9686, 0.9857), expected_calibration_error=0.264)
    assert plain(text.describe_accuracy(TestMetrics(test=test))) == [
        f"97.9 % correct on 1,129 test photos (95 % interval 96.9 % to 98.6 %). {text.TEST_SPLIT_USE}",
        "On average, scores differ from the accuracy by 26.4 percentage points; 0 would be perfect.",
    ]
    assert plain(text.describe_accuracy(TestMetrics(test=SplitMetrics(accuracy=0.5)))) == []


def test_cross_validation_is_told() -> None:
    metrics = TestMetrics(test=SplitMetrics(250, 0.82), cross_validation=CrossValidationMetrics(folds=5, repeats=4))
    (sentence,) = plain(text.describe_accuracy(metrics))
    assert sentence.startswith("82.0 % correct on 250 photos. Each photo was answered by networks that were trained")
    assert "(5-fold cross-validation, 4 times)" in sentence
    data = {"photos": {"cat": 125, "dog": 125}, "train": 250}
    document = summary({"cross_validation": {"folds": 5, "repeats": 1}}, provenance={"data": data})
    assert text.describe_training_data(document).endswith(
        "all of them for training; it was tested by cross-validation."
    )


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
    assert plain(text.describe_confident_answers(confident)) == sentences


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
    assert [*text.warn_of_few_test_photos(TestMetrics(test=SplitMetrics(photos=photos)))] == sentences


def test_unknown_verdict_is_described_by_what_was_measured() -> None:
    assert "It has no “unknown” verdict" in text.describe_unknown_limit(summary(knows_novelty=False))
    for metrics in ({}, {"unknown": {"false_alarms": 1, "of": 9, "outliers": None}}):
        assert "was not measured" in text.describe_unknown_limit(summary(metrics))
    assert plain([text.describe_unknown_limit(summary({"unknown": _UNKNOWN}))]) == [
        (
            "Its “unknown” verdict flagged 2,262 of 2,375 unrelated photos (95.2 %) and, wrongly, 51 of 1,129 photos "
            "of known classes (4.5 %). It may flag more or fewer of other kinds of photos."
        )
    ]


def test_limits_are_those_that_apply() -> None:
    many = summary({"test": {"photos": 400, "accuracy_95_interval": [0.9, 0.94], "confusion": [[200, 0], [9, 191]]}})
    (resolution, source, _, labels) = plain(text.describe_limits(many))
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
    few = plain(text.describe_limits(summary(metrics, {"pretrained": "f" * 64}, classes=classes)))
    assert few[0] == "With only 21 test photos, every figure is a rough estimate."
    assert few[2].startswith("Fewer than 10 test photos each: class 0, class 1, class 2, class 3, class 4 and 2 more.")
    assert few[4].startswith("The photos did not show that 99.0 % of confident answers would be right, so no answer")
    assert few[5].startswith("Training started from pretrained weights.")


def test_facts_leave_out_what_is_not_known() -> None:
    bare = summary(network={"family": "cnn", "width": 8})
    assert dict(text.list_network_facts(bare)) == {
        "Network": "convolutional, width 8",
        "Input": "64 × 64 pixels",  # noqa: RUF001 - as it is written
        "Temperature": "0.500",
    }
    assert text.list_data_facts(bare) == text.list_recipe_facts(bare) == text.list_unknown_facts(bare) == []
    assert text.list_file_facts(bare) == [("SHA-256", "0" * 64)]
    assert text.list_confidence_facts(bare) == []


def test_facts_say_how_a_network_was_trained() -> None:
    provenance = {
        "epochs": 30,
        "training_minutes": 24.7,
        "preset": "best",
        "weights": "averaged",
        "pretrained": "",
        "data": {"train": 96, "quarantined": 3, "duplicates": 1},
        "split_seed": 7,
        "recipe": {"label_smoothing": 0.05, "stages": [{"epochs": 7, "scale": 0.5}, {"epochs": 2, "scale": 1}]},
        "libraries": {"torch": "2.13", "numpy": "2.4"},
    }
    trained = summary(provenance=provenance)
    facts = dict(text.list_network_facts(trained))
    assert facts["Network"] == "residual, relu, width 32, depth 2"
    assert facts["Input"] == "64 × 64 pixels, colour"  # noqa: RUF001 - as it is written
    assert facts["Training"] == "30 epochs, 24.7 min, preset best, averaged weights"
    assert facts["Initial weights"] == "random"
    data = dict(text.list_data_facts(trained))
    assert (data["Training split"], data["Skipped"]) == ("96 photos", "3 unusable files")
    assert data["Split by"] == "groups of similar photos, seed 7"
    assert text.list_recipe_facts(trained) == [
        ("label smoothing", "0.05"),
        ("stages", "epochs 7, scale 0.5; epochs 2, scale 1"),
    ]
    assert dict(text.list_file_facts(trained))["Libraries"] == "torch 2.13, numpy 2.4"
    later = summary(provenance={"training_minutes": 307.2, "pretrained": "a1" * 32})
    assert dict(text.list_network_facts(later))["Training"] == "5.1 h"
    assert dict(text.list_network_facts(later))["Initial weights"] == "pretrained, SHA-256 a1a1a1a1a1a1"
    named = summary(provenance={"pretrained": "a1" * 32, "pretrained_source": "ResNet-50, resnet50.safetensors"})
    weights = "pretrained, ResNet-50, resnet50.safetensors, SHA-256 a1a1a1a1a1a1"
    assert dict(text.list_network_facts(named))["Initial weights"] == weights


@pytest.mark.parametrize(
    ("groups", "facts", "source"),
    [
        (
            {"column": "patient", "count": 1038, "largest": 412, "test": 102},
            {
                "Split by": "groups of patient and of similar photos, seed 7",
                "Groups": "1,038, the largest of 412 photos, 102 in the test split",
            },
            "The test photos are from 102 groups without training photos.",
        ),
        (
            {"folder_level": 2, "test": 1},
            {"Split by": "groups of folders (level 2) and of similar photos, seed 7", "Groups": "1 in the test split"},
            "The test photos are from 1 group without training photos.",
        ),
        (
            {},
            {"Split by": "groups of folders and of similar photos, seed 7"},
            "The test photos are from groups without training photos.",
        ),
        (
            None,
            {"Split by": "groups of similar photos, seed 7"},
            "The test photos that it was tested with come from the same folders as those it was trained with.",
        ),
    ],
)
def test_groups_that_users_name_are_told(groups: dict[str, Any] | None, facts: dict[str, str], source: str) -> None:
    grouped = summary(provenance={"data": {"train": 96}, "split_seed": 7, "groups": groups})
    assert dict(text.list_data_facts(grouped)) == {"Training split": "96 photos", **facts}
    assert any(sentence.startswith(source) for sentence in text.describe_limits(grouped))


def test_facts_say_whether_targets_are_guaranteed() -> None:
    metrics = {
        "test": {"expected_calibration_error": 0.0045, "negative_log_likelihood": 0.0677},
        "confident": {"answers": 0, "of": 9, "wrong": 0, "promised": False, "promised_precision": 0.99},
        "unknown": _UNKNOWN | {"promised": True, "promised_rate": 0.05, "rate_95_interval": [0.0345, 0.0589]},
    }
    confident = plain_facts(text.list_confidence_facts(summary(metrics)))
    assert confident == {
        "Minimum score": "0.9000",
        "Confident answers": "0 of 9, 0.0 %",
        "Target precision": "at least 99.0 %; too few photos to show it",
        "Calibration error": "0.0045, the mean gap between score and accuracy",
        "Negative log-likelihood": "0.0677",
    }
    unknown = plain_facts(text.list_unknown_facts(summary(metrics)))
    assert unknown == {
        "Photos of known classes flagged": "51 of 1,129, 4.5 % (95 % interval 3.5 % to 5.9 %)",
        "Target false-alarm rate": "at most 5.0 %; shown by photos that were not trained on",
        "Unrelated photos flagged": "2,262 of 2,375, 95.2 %",
    }
