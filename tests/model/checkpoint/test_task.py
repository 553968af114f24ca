"""Multi-label checkpoints in their file: what an older Whisker refuses, and single-label files as they always were."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from torch import Tensor

from tests.model.checkpoint.test_file import rewrite
from tests.pictures import draw, encode
from whisker.model import BUNDLED_CHECKPOINT, Checkpoint, Classifier, load_checkpoint, save_checkpoint
from whisker.model.checkpoint.contents import Thresholds
from whisker.model.errors import CheckpointError


@pytest.fixture
def path(several: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(several, tmp_path / "several.safetensors")
    return tmp_path / "several.safetensors"


def header(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        document: dict[str, Any] = json.loads(file.metadata()["whisker"])
    return document


def test_task_and_thresholds_survive_the_file(several: Checkpoint, path: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(path)
    assert (loaded.task, loaded.thresholds) == ("multi-label", several.thresholds)
    save_checkpoint(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_loaded_classifier_verifies_itself_and_answers_with_labels(several: Checkpoint, path: Path) -> None:
    picture = encode(draw("rings", 1))
    (expected,), (answer,) = (
        Classifier(several).predict([picture]),
        Classifier.load(path, engine="torch").predict([picture]),
    )
    assert answer.labels is not None
    assert expected.labels is not None
    assert [it.label for it in answer.labels] == [it.label for it in expected.labels] == ["bird", "cat"]


def test_only_multi_label_files_have_the_higher_version(untrained: Checkpoint, path: Path, tmp_path: Path) -> None:
    """An older Whisker, which reads version 1 alone, would answer them with a softmax."""
    save_checkpoint(untrained, tmp_path / "single.safetensors")
    single, multi = header(tmp_path / "single.safetensors"), header(path)
    assert (single["format_version"], multi["format_version"]) == (1, 2)
    assert "task" not in single
    assert single["thresholds"] == {"unsure": 0.0}
    assert multi["thresholds"] == {"labels": [0.9, 0.6, 0.9], "guaranteed": [True, True, True]}


def test_single_label_file_is_written_as_before_there_were_others(tmp_path: Path) -> None:
    bundled = load_checkpoint(BUNDLED_CHECKPOINT)
    assert bundled.task == "single-label"
    save_checkpoint(bundled, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == BUNDLED_CHECKPOINT.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, _: h.update(format_version=1), "is multi-label, but has format version 1"),
        (lambda h, _: h.update(format_version=5), "newer than the 4 this Whisker reads: update Whisker"),
        (lambda h, _: h.pop("task"), "is single-label, but has format version 2"),
        (lambda h, _: h.update(task="ranking"), "has the task 'ranking', which is none of single-label, multi-label"),
        (lambda h, _: h.update(task=["multi-label"]), r"has the task \['multi-label'\], which is none of"),
        (lambda h, _: h["thresholds"].pop("labels"), "lacks 'labels' in its header"),
        (lambda h, _: h["thresholds"].pop("guaranteed"), "lacks 'guaranteed' in its header"),
        (lambda h, _: h["thresholds"].update(labels=0.5), "0.5 as its thresholds, where a list"),
        (lambda h, _: h["thresholds"].update(labels=[0.5, 0.5]), "has 2 thresholds and 3 guarantees for 3 classes"),
        (lambda h, _: h["thresholds"].update(guaranteed=[True]), "has 3 thresholds and 1 guarantees for 3 classes"),
        (lambda h, _: h["thresholds"].update(labels=[0.5, 2, 0.5]), "has a threshold of 2"),
        (lambda h, _: h["thresholds"].update(labels=[0.5, float("nan"), 0.5]), "has NaN in its header"),
        (lambda h, _: h["thresholds"].update(guaranteed=[1, 0, 1]), "has 1 as the guarantee of a threshold"),
    ],
)
def test_header_that_does_not_fit_is_refused(
    path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object], message: str
) -> None:
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"The checkpoint {path} ")
    assert str(caught.value).count("\n") == 0


def test_precision_that_was_not_shown_survives_the_file(untrained: Checkpoint, tmp_path: Path) -> None:
    thresholds = Thresholds(unsure=0.25, shown=False)
    save_checkpoint(replace(untrained, thresholds=thresholds), tmp_path / "c.safetensors")
    assert header(tmp_path / "c.safetensors")["thresholds"] == {"unsure": 0.25, "shown": False}
    assert load_checkpoint(tmp_path / "c.safetensors").thresholds == thresholds


def test_shown_is_true_or_false(untrained: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(untrained, tmp_path / "c.safetensors")
    rewrite(tmp_path / "c.safetensors", lambda document, _: document["thresholds"].update(shown="yes"))
    with pytest.raises(CheckpointError, match="has 'yes' as the guarantee of a threshold, where true or false belongs"):
        load_checkpoint(tmp_path / "c.safetensors")
