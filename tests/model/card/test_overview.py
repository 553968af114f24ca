"""The overview on a checkpoint's page: what was measured, and no more than can be shown."""

from typing import Any

from whisker.model.card.document import CheckpointCard
from whisker.model.card.overview import describe


def card(classes: list[str], **parts: Any) -> CheckpointCard:
    return {
        "name": "tiny",
        "sha256": "0" * 64,
        "device": "cpu",
        "engine": "torch",
        "task": parts.get("task", "single-label"),
        "classes": classes,
        "preprocessing": {"size": 64},
        "network": {"family": "cnn", "width": 8},
        "temperature": 1.0,
        "unsure": 0.5,
        "label_thresholds": None,
        "shown": True,
        "knows_novelty": True,
        "has_heat_maps": True,
        "metrics": parts.get("metrics", {}),
        "provenance": parts.get("provenance", {}),
    }


def test_promised_precision_is_told_with_whether_it_is_shown() -> None:
    told = []
    for shown in (True, False):
        confident = {"answers": 0, "of": 9, "wrong": 0, "promised": shown, "promised_precision": 0.95}
        told += describe(card(["cat", "dog"], metrics={"confident": confident}) | {"shown": shown})["accuracy"]
    assert [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in told] == [
        (
            "Of confident answers, at least 95.0 % should be right: photos that were not trained on have shown it, "
            "with 95 % confidence."
        ),
        (
            "The photos did not show that 95.0 % of confident answers would be right, so no answer is called "
            "confident. To change that, add photos and train again."
        ),
    ]


def test_cross_validated_card_speaks_of_no_test_photos() -> None:
    for trial, name in (({}, "test photos"), ({"cross_validation": {"folds": 5, "repeats": 2}}, "photos")):
        assert describe(card(["cat", "dog"], metrics=trial))["tested_on"] == name


def test_confusion_of_very_many_classes_is_not_pictured() -> None:
    classes = [f"{number:03}" for number in range(50)]
    metrics = {"test": {"confusion": [[1] * 50] * 50}, "confident": {"answers": 0}}
    overview = describe(card(classes, metrics=metrics))
    assert overview["confusion"] is None
    assert overview["accuracy"] == []
    assert overview["limits"][1:] == [
        (
            "Its “unknown” verdict flags photos that are unlike the training photos. How many unrelated photos it "
            "flags was not measured."
        )
    ]


def test_half_a_measurement_is_told_as_far_as_it_goes() -> None:
    few = {"test": {"photos": 9, "expected_calibration_error": 0.264}, "confident": {"answers": 6, "of": 9, "wrong": 1}}
    assert describe(card(["cat", "dog"], metrics=few))["accuracy"] == [
        "On average, scores differ from the accuracy by 26.4 percentage points; 0 would be perfect.",
        "6 of 9 answers were confident, and 1 of those was wrong (16.7\N{NO-BREAK SPACE}%).",
        "With only 9 test photos, every figure is a rough estimate.",
    ]


def test_classes_have_rows_with_what_is_known_of_them() -> None:
    rows = [
        {"photos": 10, "answered": 10, "right": 9, "recall": 0.9, "precision": 0.9},
        {"photos": 0, "answered": 0, "right": 0, "recall": None, "precision": None},
    ]
    photos = {"data": {"photos": {"cat": 1100}}}
    overview = describe(card(["cat", "dog"], metrics={"figures": {"per_class": rows}}, provenance=photos))
    assert overview["per_class"]
    assert [(row["label"], row["photos"]) for row in overview["rows"]] == [("cat", "1,100"), ("dog", "0")]
    assert [row["recall"] for row in overview["rows"]] == ["90.0\N{NO-BREAK SPACE}%", "\N{EN DASH}"]
    assert len(describe(card([str(i) for i in range(2000)]))["rows"]) == 1000


def test_cells_of_the_confusion_matrix_are_shaded_by_their_share_of_the_row() -> None:
    table = describe(card(["cat", "dog"], metrics={"test": {"confusion": [[3, 1], [0, 0]]}}))["confusion"]
    assert table is not None
    assert [(cell["count"], cell["shade"], cell["is_right"]) for row in table["rows"] for cell in row["cells"]] == [
        (3, 9, True),
        (1, 5, False),
        (0, 0, False),
        (0, 0, True),
    ]
    assert table["rows"][0]["cells"][0]["share"] == "75.0\N{NO-BREAK SPACE}%"


def test_confusions_of_many_classes_are_told_by_the_most_common_pairs() -> None:
    classes = [f"{number:03}" for number in range(50)]
    cells = [[0, 0, 30], [0, 7, 10], [3, 4, 20], [3, 3, 20]]
    rows = [{"photos": 40, "answered": 40, "right": 40 - at, "recall": 1 - at / 50, "precision": 1} for at in range(50)]
    metrics = {"test": {"confusion_cells": cells}, "figures": {"per_class": rows}}
    overview = describe(card(classes, metrics=metrics))
    assert [*map(dict, overview["pairs"])] == [
        {"label": "003", "answer": "004", "share": "20 of 40 (50.0\N{NO-BREAK SPACE}%)"},
        {"label": "000", "answer": "007", "share": "10 of 40 (25.0\N{NO-BREAK SPACE}%)"},
    ]
    assert [row["label"] for row in overview["hardest"]] == classes[:-11:-1]


def test_facts_name_the_engine_here() -> None:
    facts = dict(describe(card(["cat", "dog"], provenance={"date": "2026-11-24", "recipe": "none"}))["facts"])
    assert facts["Engine"] == "torch on cpu"
    assert facts["Date"] == "2026-11-24"
    assert facts["Network"] == "convolutional, width 8"
