"""Facts say what was measured and how, and leave out what is not known."""

from typing import Any

import pytest

from tests.model.card.summaries import plain_facts, summary
from whisker.model.card.wording.facts import (
    list_confidence_facts,
    list_data_facts,
    list_file_facts,
    list_network_facts,
    list_recipe_facts,
    list_unknown_facts,
)
from whisker.model.card.wording.sentences import describe_limits

_UNKNOWN = {"false_alarms": 51, "of": 1129, "outliers": {"caught": 2262, "of": 2375}}


def test_facts_leave_out_what_is_not_known() -> None:
    bare = summary(network={"family": "cnn", "width": 8})
    assert dict(list_network_facts(bare)) == {
        "Network": "convolutional, width 8",
        "Input": "64 × 64 pixels",  # noqa: RUF001 - as it is written
        "Temperature": "0.500",
    }
    assert list_data_facts(bare) == list_recipe_facts(bare) == list_unknown_facts(bare) == []
    assert list_file_facts(bare) == [("SHA-256", "0" * 64)]
    assert list_confidence_facts(bare) == []


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
    facts = dict(list_network_facts(trained))
    assert facts["Network"] == "residual, relu, width 32, depth 2"
    assert facts["Input"] == "64 × 64 pixels, colour"  # noqa: RUF001 - as it is written
    assert facts["Training"] == "30 epochs, 24.7 min, preset best, averaged weights"
    assert facts["Initial weights"] == "random"
    data = dict(list_data_facts(trained))
    assert (data["Training split"], data["Skipped"]) == ("96 photos", "3 unusable files")
    assert data["Split by"] == "groups of similar photos, seed 7"
    assert list_recipe_facts(trained) == [
        ("label smoothing", "0.05"),
        ("stages", "epochs 7, scale 0.5; epochs 2, scale 1"),
    ]
    assert dict(list_file_facts(trained))["Libraries"] == "torch 2.13, numpy 2.4"
    later = summary(provenance={"training_minutes": 307.2, "pretrained": "a1" * 32})
    assert dict(list_network_facts(later))["Last training run"] == "5.1 h"
    assert dict(list_network_facts(later))["Initial weights"] == "pretrained, SHA-256 a1a1a1a1a1a1"
    named = summary(provenance={"pretrained": "a1" * 32, "pretrained_source": "ResNet-50, resnet50.safetensors"})
    weights = "pretrained, ResNet-50, resnet50.safetensors, SHA-256 a1a1a1a1a1a1"
    assert dict(list_network_facts(named))["Initial weights"] == weights


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
    assert dict(list_data_facts(grouped)) == {"Training split": "96 photos", **facts}
    assert any(sentence.startswith(source) for sentence in describe_limits(grouped))


def test_facts_say_whether_targets_are_guaranteed() -> None:
    metrics = {
        "test": {"expected_calibration_error": 0.0045, "negative_log_likelihood": 0.0677},
        "confident": {"answers": 0, "of": 9, "wrong": 0, "promised": False, "promised_precision": 0.99},
        "unknown": _UNKNOWN | {"promised": True, "promised_rate": 0.05, "rate_95_interval": [0.0345, 0.0589]},
    }
    confident = plain_facts(list_confidence_facts(summary(metrics)))
    assert confident == {
        "Minimum score": "0.9000",
        "Confident answers": "0 of 9, 0.0 %",
        "Target precision": "at least 99.0 %; not shown by the photos",
        "Calibration error": "0.0045, the mean gap between score and accuracy",
        "Negative log-likelihood": "0.0677",
    }
    unknown = plain_facts(list_unknown_facts(summary(metrics)))
    assert unknown == {
        "Photos of known classes flagged": "51 of 1,129, 4.5 % (95 % interval 3.5 % to 5.9 %)",
        "Target false-alarm rate": "at most 5.0 %; shown by the photos",
        "Unrelated photos flagged": "2,262 of 2,375, 95.2 %",
    }
