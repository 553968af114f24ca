"""Statistics of the training photos travel in the file, and damaged ones are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.model.checkpoint.test_file import rewrite
from whisker.model import Checkpoint, load_checkpoint, save_checkpoint
from whisker.model.checkpoint.statistics import ClassStatistics
from whisker.model.errors import CheckpointError


@pytest.fixture
def statistics(untrained: Checkpoint) -> ClassStatistics:
    features = untrained.state["fc.weight"].shape[1]
    rng = np.random.default_rng(0)
    return ClassStatistics(
        counts=np.array([5, 8]),
        means=rng.normal(size=(2, features)).astype(np.float16).astype(np.float32),
        factors=rng.normal(size=(2, features)).astype(np.float16).astype(np.float32),
        noise=rng.random(features, np.float32),
        logits=rng.normal(size=(3, 2)).astype(np.float16).astype(np.float32),
        labels=np.array([0, 1, 1]),
    )


@pytest.fixture
def path(untrained: Checkpoint, statistics: ClassStatistics, tmp_path: Path) -> Path:
    save_checkpoint(replace(untrained, statistics=statistics), tmp_path / "c.safetensors")
    return tmp_path / "c.safetensors"


def test_round_trip_keeps_them(path: Path, statistics: ClassStatistics) -> None:
    loaded = load_checkpoint(path).statistics
    assert loaded is not None
    for name in ("counts", "means", "factors", "noise", "logits", "labels"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(statistics, name))


def _set(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.update({f"statistics.{name}": tensor})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensors: tensors.pop("statistics.noise"), "has only some of its statistics"),
        (_set("means", torch.zeros(3, 2)), "in the wrong shape"),
        (_set("counts", torch.zeros(())), "in the wrong shape"),
        (_set("logits", torch.full((3, 2), torch.nan)), "has NaN or infinity in its statistics"),
        (_set("labels", torch.tensor([0, 1, 2])), "classes that it does not know"),
        (_set("counts", torch.tensor([-1, 2])), "classes that it does not know"),
    ],
)
def test_damage_is_named(path: Path, change: Callable[[dict[str, Tensor]], object], problem: str) -> None:
    rewrite(path, lambda _, tensors: change(tensors))
    with pytest.raises(CheckpointError, match=problem):
        load_checkpoint(path)


def test_statistics_of_another_network_are_refused(
    untrained: Checkpoint, statistics: ClassStatistics, tmp_path: Path
) -> None:
    other = replace(statistics, means=np.zeros((2, 3), np.float32), factors=np.zeros((1, 3), np.float32))
    other = replace(other, noise=np.zeros(3, np.float32))
    save_checkpoint(replace(untrained, statistics=other), tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="has statistics of 3 features, where its network has"):
        load_checkpoint(tmp_path / "c.safetensors")
