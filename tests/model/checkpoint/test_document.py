"""Checkpoints of thousands of classes: whatever the number, what was computed can be saved, and used."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from whisker.model import (
    Checkpoint,
    Classifier,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_checkpoint,
    save_checkpoint,
    with_golden_answers,
)
from whisker.model.card.overview import describe
from whisker.model.checkpoint import document
from whisker.model.errors import CheckpointError
from whisker.model.prepared.preparing import card_of
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.metrics import evaluate_probabilities
from whisker.training.report.page import write_report

CLASSES = tuple(f"class {number:04}" for number in range(5_000))
PHOTOS = 600


@pytest.fixture(scope="module")
def many() -> Checkpoint:
    """Make a checkpoint of 5,000 classes with the figures that a training measures."""
    rng, network = np.random.default_rng(0), NetworkConfig(width=2, depth=1, size=32)
    labels = rng.integers(0, len(CLASSES), PHOTOS)
    probabilities = np.full((PHOTOS, len(CLASSES)), 1e-5, np.float32)
    probabilities[np.arange(PHOTOS), np.where(rng.random(PHOTOS) < 0.8, labels, 7)] = 0.9
    metrics = {
        "test": evaluate_probabilities(probabilities, labels).to_json(),
        "confident": {"answers": 0, "of": PHOTOS, "wrong": 0},
        "figures": measure_figures(probabilities, labels, None, None).to_json(),
    }
    state = build_network(network, len(CLASSES)).state_dict()
    provenance = {"data": {"photos": dict.fromkeys(CLASSES, 9)}}
    return with_golden_answers(
        Checkpoint("many", network, Preprocessing(32), CLASSES, state, metrics=metrics, provenance=provenance)
    )


def test_five_thousand_classes_are_saved_loaded_and_described(many: Checkpoint, tmp_path: Path) -> None:
    path, report = tmp_path / "many.safetensors", tmp_path / "many.html"
    save_checkpoint(many, path)
    assert path.stat().st_size < 3_000_000
    classifier = Classifier.load(path, "cpu")
    assert (classifier.classes, classifier.checkpoint.metrics) == (CLASSES, many.metrics)
    card = card_of(classifier)
    assert len(json.dumps(card)) < 2_000_000
    overview = describe(card)
    assert (len(overview["rows"]), overview["confusion"]) == (1000, None)
    write_report(report, classifier.checkpoint, None)
    assert report.stat().st_size < 1_000_000
    page = report.read_text()
    assert "Classes are in alphabetical order, 10 to a row." in page
    assert "class 0007" in page


@pytest.fixture(scope="module")
def small() -> Checkpoint:
    network = NetworkConfig(width=2, depth=1, size=32)
    state = build_network(network, 2).state_dict()
    return with_golden_answers(
        Checkpoint("small", network, Preprocessing(32), ("a", "b"), state, metrics={"a table": [*range(500)]})
    )


@pytest.fixture
def path(small: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a checkpoint whose document is too large for the metadata."""
    monkeypatch.setattr(document, "MAX_METADATA_BYTES", 1_000)
    save_checkpoint(small, tmp_path / "c.safetensors")
    return tmp_path / "c.safetensors"


def test_document_too_large_for_the_metadata_is_a_tensor(path: Path, small: Checkpoint) -> None:
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["whisker"]) == {"format_version": 3, "header": "whisker.header"}
    loaded = load_checkpoint(path)
    assert loaded.metrics == {"a table": [*range(500)]}
    assert (loaded.classes, loaded.network) == (small.classes, small.network)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (None, "lacks its header"),
        (torch.zeros(3), "lacks its header"),
        (torch.tensor([255], dtype=torch.uint8), "not Unicode"),
        (torch.tensor([*b"[1]"], dtype=torch.uint8), "not a JSON object"),
        (torch.tensor([*b"{}"], dtype=torch.uint8), "no format version"),
    ],
)
def test_document_that_is_not_one_is_refused(path: Path, tensor: Tensor | None, message: str) -> None:
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del tensors["whisker.header"]
    save_file(tensors if tensor is None else tensors | {"whisker.header": tensor}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_document_in_a_tensor_is_part_of_the_digest(path: Path) -> None:
    data = path.read_bytes()
    assert data.count(b"a table") == 1
    path.write_bytes(data.replace(b"a table", b"a cable"))
    with pytest.raises(CheckpointError, match="changed or damaged"):
        load_checkpoint(path)


def test_document_larger_than_can_be_read_is_not_written(
    path: Path, small: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "_MAX_BYTES", 2_000)
    before, table = path.read_bytes(), {"a table": [*range(900)]}
    with pytest.raises(CheckpointError, match=r"would have a header of more than 2,000 bytes\.$"):
        save_checkpoint(replace(small, metrics=table), path)
    assert path.read_bytes() == before


def test_matrix_that_somebody_has_written_whole_is_kept(small: Checkpoint, tmp_path: Path) -> None:
    whole: dict[str, Any] = {"test": {"confusion": [[0] * 5_000] * 40}}  # as much as a fast test can bear
    save_checkpoint(replace(small, metrics=whole), tmp_path / "c.safetensors")
    assert load_checkpoint(tmp_path / "c.safetensors").metrics == whole
