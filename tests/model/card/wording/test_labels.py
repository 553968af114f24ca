"""What is said of a multi-label checkpoint: how well labels are found, and which of them keep their precision."""

from typing import Any

import pytest

from tests.model.card.summaries import plain, plain_facts, summary
from tests.model.card.test_overview import card
from whisker.model.card.overview import describe
from whisker.model.card.record import JsonObject
from whisker.model.card.wording import labels, sentences

_LABEL = {"photos": 40, "answered": 30, "right": 27, "recall": 0.675, "precision": 0.9, "target_precision": 0.9}
_METRICS: dict[str, Any] = {
    "test": {"photos": 400, "mean_average_precision": 0.8124, "micro_f1": 0.84, "macro_f1": 0.791},
    "confident": {"answers": 290, "of": 400, "wrong": 9, "error_95_interval": [0.0164, 0.0579]},
    "figures": {
        "per_label": [
            _LABEL | {"threshold": 0.62, "guaranteed": True, "average_precision": 0.9},
            _LABEL | {"photos": 4, "threshold": 0.3, "guaranteed": False, "average_precision": None},
        ]
    },
}


def test_quality_guarantees_and_confident_answers_are_told() -> None:
    assert plain(labels.describe_labels(summary(_METRICS, task="multi-label"))) == [
        f"Mean average precision 81.2 % on 400 test photos. {sentences.TEST_SPLIT_USE}",
        (
            "At the thresholds, the F1 score is 84.0 % over all labels of all photos (micro) and 79.1 % on average "
            "over the labels (macro)."
        ),
        (
            "For 1 of 2 labels, photos that were not trained on show that at least 90.0 % of the photos in "
            "which the label is found have it."
        ),
        "The other labels have the threshold with the best F1 score, and answers with them are unsure.",
        "290 of 400 answers were confident, and 9 of those named a label that the photo does not have (3.1 %).",
    ]


def test_nothing_is_said_of_what_was_not_measured() -> None:
    assert [*labels.describe_labels(summary(task="multi-label"))] == []
    assert labels.list_label_facts(summary(task="multi-label")) == []
    guaranteed = {"figures": {"per_label": [_LABEL | {"guaranteed": True}]}}
    assert len([*labels.describe_labels(summary(guaranteed, task="multi-label"))]) == 1


def test_facts_give_every_figure_over_all_labels() -> None:
    assert plain_facts(labels.list_label_facts(summary(_METRICS, task="multi-label"))) == {
        "Confident answers": "290 of 400, 72.5 %",
        "With a wrong label among them": "9 of 290, 3.1 % (95 % interval 1.6 % to 5.8 %)",
        "Mean average precision": "81.2 %",
        "Micro F1": "84.0 %",
        "Macro F1": "79.1 %",
    }


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Knows 2 labels: cat, dog."),
        (
            {"photos": {"cat": 700, "dog": 800}},
            "Knows 2 labels, from photos, some of them kept for validation and testing.",
        ),
        (
            {"photos": {"cat": 700, "dog": 800}, "train": 800, "validation": 100, "test": 100},
            "Knows 2 labels, from 1,000 photos: 800 for training, 100 for validation and 100 for testing.",
        ),
    ],
)
def test_photo_with_several_labels_is_counted_once(data: JsonObject, sentence: str) -> None:
    assert sentences.describe_training_data(summary(provenance={"data": data}, task="multi-label")) == sentence


def test_limits_are_those_of_labels() -> None:
    limits = plain(sentences.describe_limits(summary(_METRICS, task="multi-label", knows_novelty=False)))
    assert limits[1] == "Fewer than 10 test photos each: dog. The figures of these classes mean little."
    assert "a photo of anything else may get any of the 2 labels" in limits[2]
    assert limits[3].startswith("Labels are taken as correct: a wrong or missing label counts as an error")
    assert sentences.describe_input_limit(summary(task="multi-label")).startswith("It knows only these labels")


def test_page_lists_each_label_with_its_threshold_and_no_confusion() -> None:
    described = card(["cat", "dog"], task="multi-label", metrics=_METRICS)
    described["label_thresholds"] = [
        {"label": "cat", "threshold": 0.62, "guaranteed": True},
        {"label": "dog", "threshold": 0.3, "guaranteed": False},
    ]
    overview = describe(described)
    assert (overview["task"], overview["confusion"], overview["per_class"]) == ("multi-label", None, True)
    cells = [(row["label"], row["threshold"], row["recall"], row["guarantee"]) for row in overview["rows"]]
    assert [plain(row) for row in cells] == [
        ["cat", "62.0 %", "67.5 %", "≥ 90.0 %"],
        ["dog", "30.0 %", "67.5 %", "none"],
    ]
    assert len(overview["accuracy"]) == 5
    untested = describe({**described, "metrics": {}})
    assert [row["guarantee"] for row in untested["rows"]] == ["yes", "none"]
    assert not untested["per_class"]
