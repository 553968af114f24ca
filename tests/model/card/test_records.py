"""Metrics and provenance read every checkpoint, and write back exactly what they have read."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisker.model import BUNDLED_CHECKPOINT, Checkpoint, load_checkpoint
from whisker.model.answers.profile import SCORE_EDGES
from whisker.model.card.metrics import Figures, ReliabilityBin, SplitMetrics, TestMetrics, UnknownMetrics
from whisker.model.card.provenance import CalibrationRun, Epoch, Provenance
from whisker.training.job import Training


@pytest.fixture(params=["bundled", "trained"])
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    if request.param == "bundled":
        return load_checkpoint(BUNDLED_CHECKPOINT)
    trained: Training = request.getfixturevalue("trained")
    return load_checkpoint(trained.out)


def text(document: object) -> str:
    """Write JSON as a checkpoint's header does, so that 1 and 1.0 differ."""
    return json.dumps(document, sort_keys=True)


def test_what_training_writes_is_read_whole_and_written_back_to_the_letter(checkpoint: Checkpoint) -> None:
    for stored, record in (
        (checkpoint.metrics, TestMetrics.from_json(checkpoint.metrics)),
        (checkpoint.provenance, Provenance.from_json(checkpoint.provenance)),
    ):
        assert text(record.to_json()) == text(stored)
        assert [*record.unread()] == []
        assert record.rest == {}  # every key that is written has a field


def test_new_record_writes_what_it_reads_back(checkpoint: Checkpoint) -> None:
    """A record that was read knows what it has read; a new one has only its fields to write."""
    metrics = TestMetrics.from_json(checkpoint.metrics)
    assert metrics.figures is not None
    new = Figures(
        reliability=tuple(
            ReliabilityBin(row.low, row.high, row.photos, row.score, row.accuracy)
            for row in metrics.figures.reliability or ()
        )
    )
    assert text(new.to_json()["reliability"]) == text(checkpoint.metrics["figures"]["reliability"])
    assert Figures.from_json(new.to_json()) == new


def test_metrics_hold_what_was_measured(checkpoint: Checkpoint) -> None:
    metrics, stored = TestMetrics.from_json(checkpoint.metrics), checkpoint.metrics
    assert metrics.test is not None
    assert metrics.test.accuracy == stored["test"]["accuracy"]
    assert metrics.test.confusion == tuple(map(tuple, stored["test"]["confusion"]))
    assert metrics.confident is not None
    assert metrics.confident.guaranteed is stored["confident"]["promised"]
    assert metrics.confident.target_precision == stored["confident"]["promised_precision"]
    assert metrics.unknown is not None
    assert metrics.unknown.target_rate == stored["unknown"]["promised_rate"]
    assert metrics.profile is not None
    assert metrics.profile.labels == stored["profile"]["labels"]
    provenance = Provenance.from_json(checkpoint.provenance)
    assert provenance.history is not None
    assert provenance.history[0].loss == checkpoint.provenance["history"][0]["loss"]


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"test": {"accuracy": 0.5}},
        {"test": "good", "confident": 3, "unknown": [], "figures": None, "profile": {}, "speed": {"threads": 2}},
        {"test": {"confusion": [[1, 2], ["a"]], "photos": True, "accuracy_95_interval": [0.1]}},
        {"figures": {"per_class": [{"photos": 1, "answered": 1, "right": 1, "recall": "high"}], "coverage": [{}]}},
        {"profile": {"labels": {"cat": "often"}, "score_edges": [*SCORE_EDGES], "scores": [0.0] * 6}},
        {"later": {"than": "this version"}, "test": {"photos": 3, "f1": 0.9}},
    ],
)
def test_missing_malformed_and_unknown_parts_of_metrics_are_kept(metrics: dict[str, Any]) -> None:
    assert text(TestMetrics.from_json(metrics).to_json()) == text(metrics)


@pytest.mark.parametrize(
    "provenance",
    [
        {"recipe": "none"},
        {"data": {"photos": {"cat": "many"}}, "history": [{"epoch": 1}], "libraries": {"torch": 2}},
        {"noticed": {"quarantined": [["a.jpg"]], "conflicts": []}, "shares": {"test": 0.1}, "pretrained": None},
        {"recipe": {"stages": [{"scale": 0.5, "epochs": 5}], "new": None}, "python": "3.11", "planet": "earth"},
    ],
)
def test_missing_malformed_and_unknown_parts_of_provenance_are_kept(provenance: dict[str, Any]) -> None:
    assert text(Provenance.from_json(provenance).to_json()) == text(provenance)


_VALUES = st.sampled_from([None, True, 3, 0.5, "x", [], [1], [[1, 2]], [0.1, 0.9], {}, {"cat": 1}, [{"epoch": 1}]])
_KEYS = st.sampled_from(["test", "confident", "unknown", "figures", "profile", "speed", "data", "history", "recipe"])
_PARTS = st.sampled_from(["photos", "answers", "of", "wrong", "per_class", "scores", "labels", "train", "epoch", "x"])


@given(st.dictionaries(_KEYS, _VALUES | st.dictionaries(_PARTS, _VALUES, max_size=4), max_size=5))
def test_no_document_is_refused_or_loses_anything(document: dict[str, Any]) -> None:
    assert text(TestMetrics.from_json(document).to_json()) == text(document)
    assert text(Provenance.from_json(document).to_json()) == text(document)


@pytest.mark.parametrize("document", [None, 3, "metrics", [1]])
def test_what_is_no_object_has_nothing_in_it(document: object) -> None:
    assert TestMetrics.from_json(document) == TestMetrics()
    assert Provenance.from_json(document) == Provenance()


def test_part_without_what_it_is_about_is_none_and_a_partial_one_is_not() -> None:
    metrics = TestMetrics.from_json({"test": {"photos": 9, "accuracy": "high"}, "confident": {"answers": 0}})
    assert metrics.test == SplitMetrics(photos=9)
    assert metrics.confident is None


def test_values_of_another_type_are_named() -> None:
    metrics = TestMetrics.from_json(
        {
            "test": {"accuracy": "high", "f1": 0.9},
            "unknown": {},
            "speed": {"threads": 2},
            "figures": {"per_class": [{"photos": 1, "answered": 1, "right": 1, "recall": "high"}]},
        }
    )
    assert [*metrics.unread()] == ["test.accuracy", "figures.per_class.recall", "speed"]


def test_null_is_written_where_a_reader_expects_the_key_and_left_out_elsewhere() -> None:
    assert UnknownMetrics(1, 9).to_json() == {"false_alarms": 1, "of": 9, "outliers": None}
    assert UnknownMetrics.from_json({"false_alarms": 1, "of": 9}) == UnknownMetrics(1, 9)
    assert Epoch(1, 64, 0.5, 0.9).to_json() == {"epoch": 1, "size": 64, "loss": 0.5, "validation_accuracy": 0.9}


def test_changed_record_keeps_what_it_does_not_know() -> None:
    stored = {"recipe": "none", "planet": "earth", "calibration": None, "date": "2026-01-01"}
    changed = replace(Provenance.from_json(stored), calibration=CalibrationRun("whisker calibrate", "2026-02-02"))
    assert changed.to_json() == stored | {"calibration": {"command": "whisker calibrate", "date": "2026-02-02"}}


def test_confusion_of_very_many_classes_is_read_at_once() -> None:
    row = [1] * 1000
    metrics = TestMetrics.from_json({"test": {"confusion": [row] * 1000}})
    assert metrics.test is not None
    assert metrics.test.confusion == (tuple(row),) * 1000
