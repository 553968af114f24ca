import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.onnx_files import write_onnx
from whisker.model import Checkpoint, Preprocessing, load_checkpoint, save_checkpoint
from whisker.model.answers.novelty import Novelty
from whisker.model.checkpoint.contents import Golden, Thresholds
from whisker.model.checkpoint.golden import golden_pictures
from whisker.model.checkpoint.integrity import GRAPH
from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig

CONFIG = GraphConfig(48, tensor="features", gives="features", scale="0..255", mean=(1.5, 2, 3), batches=False)
NOVELTY = Novelty(np.ones((1, 2), np.float32), np.zeros(2, np.float32), 1, 1.0, 0.1, 0.5)


def tensor_of(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Make an imported checkpoint whose answers nobody has computed."""
    state = {GRAPH: tensor_of(write_onnx()), "fc.weight": torch.ones(2, 2), "fc.bias": torch.zeros(2)}
    pictures = golden_pictures()
    return Checkpoint(
        "imported",
        CONFIG,
        Preprocessing(48, "crop", crop_fraction=0.875),
        ("rings", "stripes"),
        state,
        thresholds=Thresholds(unsure=1.0, shown=False),
        golden=Golden(pictures, torch.full((len(pictures), 2), 0.5)),
    )


def test_file_holds_the_graph_and_has_a_version_that_older_readers_refuse(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "imported.safetensors"
    save_checkpoint(checkpoint, path)
    loaded = load_checkpoint(path)
    assert (loaded.network, loaded.preprocessing) == (checkpoint.network, checkpoint.preprocessing)
    assert loaded.state[GRAPH].numpy().tobytes() == write_onnx()
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["whisker"])["format_version"] == 4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda it: replace(it, state={**it.state, GRAPH: tensor_of(write_onnx(external="/x"))}), "in other files"),
        (lambda it: replace(it, state={**it.state, GRAPH: torch.ones(9)}), "lacks its ONNX graph"),
        (lambda it: replace(it, state={**it.state, "conv1.weight": torch.ones(1)}), "that its network lacks"),
        (lambda it: replace(it, state={**it.state, "fc.bias": torch.zeros(3)}), "has 'fc.bias' as"),
        (lambda it: replace(it, network=replace(CONFIG, gives="logits"), novelty=NOVELTY), "gives no features"),
        (lambda it: replace(it, preprocessing=Preprocessing(64)), "prepares pictures of 64 pixels"),
        (lambda it: replace(it, task="multi-label", thresholds=Thresholds(labels=(0.5,) * 2)), "but is multi-label"),
    ],
)
def test_forged_file_is_refused(
    checkpoint: Checkpoint, change: Callable[[Checkpoint], Checkpoint], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "imported.safetensors"
    save_checkpoint(change(checkpoint), path)
    with pytest.raises(CheckpointError, match=problem):
        load_checkpoint(path)
