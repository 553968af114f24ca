import dataclasses
import errno
import logging
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from tests.model.networks import trained_like
from whisker.model import Checkpoint, Classifier, NetworkConfig, Preprocessing, save_checkpoint, with_golden_answers
from whisker.model.checkpoint.contents import Int8Cost, Quantization, Range
from whisker.model.engines.choice import ENGINES
from whisker.model.engines.instructions import has_dot_products
from whisker.model.engines.quantization import measure_ranges
from whisker.model.errors import EngineError

CONFIG = NetworkConfig(width=8, depth=1, size=32)


def quantization(ranges: Mapping[str, Range], points_lost: float, mean_difference: float) -> Quantization:
    """Say that int8 costs the same on every processor."""
    cost = Int8Cost(points_lost, mean_difference)
    return Quantization(ranges, cost, cost)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    network = trained_like(CONFIG, classes=2)
    bare = Checkpoint("tiny", CONFIG, Preprocessing(size=32), ("cat", "dog"), network.state_dict(), temperature=50.0)
    checkpoint = with_golden_answers(bare)
    assert checkpoint.golden is not None
    pictures = [checkpoint.preprocessing.decode(picture) for picture in checkpoint.golden.pictures]
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return dataclasses.replace(checkpoint, quantization=quantization(measure_ranges(network, [x]), 0.0, 0.001))


def saved(checkpoint: Checkpoint, folder: Path) -> Path:
    save_checkpoint(checkpoint, folder / "tiny.safetensors")
    return folder / "tiny.safetensors"


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "cuda-graphs"])
def test_engine_asked_for_answers_as_the_plain_one(checkpoint: Checkpoint, tmp_path: Path, name: str) -> None:
    if name.startswith("openvino"):
        pytest.importorskip("openvino")
    path = saved(checkpoint, tmp_path)
    classifier, plain = Classifier.load(path, engine=name), Classifier.load(path, engine="torch")
    assert classifier.engine == name
    pictures = checkpoint.golden.pictures if checkpoint.golden else ()
    assert float((classifier.answers(pictures) - plain.answers(pictures)).abs().max()) < 0.02


def test_choice_and_its_reason_are_logged(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    classifier = Classifier.load(saved(checkpoint, tmp_path))
    (record,) = [record for record in caplog.records if record.message == "Engine chosen"]
    assert vars(record)["engine"] == classifier.engine
    assert "times as fast as plain PyTorch" in vars(record)["reason"]


@pytest.mark.parametrize(
    ("cost", "reason"),
    [
        (None, "its cost was not measured"),
        (quantization({}, 0.1, 0.001), "lost 0.10 percentage points"),
        (quantization({}, 0.0, 0.006), "by 0.0060 on average"),
        (quantization({}, -0.2, 0.001), "no range"),
    ],
)
def test_int8_that_costs_too_much_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, cost: Quantization | None, reason: str
) -> None:
    pytest.importorskip("openvino")
    path = saved(dataclasses.replace(checkpoint, quantization=cost), tmp_path)
    with pytest.raises(EngineError, match=reason):
        Classifier.load(path, engine="openvino-int8")
    assert Classifier.load(path).engine != "openvino-int8"


def test_int8_is_used_without_vnni_only_where_its_cost_there_is_known(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    assert checkpoint.quantization is not None
    measured = saved(checkpoint, tmp_path)
    (tmp_path / "older").mkdir()
    unmeasured = dataclasses.replace(checkpoint.quantization, narrow=None)
    older = saved(dataclasses.replace(checkpoint, quantization=unmeasured), tmp_path / "older")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    has_dot_products.cache_clear()
    assert Classifier.load(measured, engine="openvino-int8").engine == "openvino-int8"
    with pytest.raises(EngineError, match="without VNNI was not measured: `whisker calibrate` does"):
        Classifier.load(older, engine="openvino-int8")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True})
    has_dot_products.cache_clear()
    assert has_dot_products()
    monkeypatch.undo()
    has_dot_products.cache_clear()


def test_engine_that_answers_wrongly_is_passed_over(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    assert checkpoint.quantization is not None
    ranges = {name: (low / 50, high / 50) for name, (low, high) in checkpoint.quantization.ranges.items()}
    wrong = dataclasses.replace(checkpoint, quantization=quantization(ranges, 0.0, 0.0), temperature=1.0)
    path = saved(with_golden_answers(wrong), tmp_path)
    caplog.set_level(logging.INFO)
    assert Classifier.load(path).engine != "openvino-int8"
    passed = {vars(record)["engine"]: vars(record)["reason"] for record in caplog.records if "passed" in record.message}
    assert "its golden features agree only to a cosine of" in passed["openvino-int8"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'openvino'"), "the package openvino is not installed"),
        (ImportError("libopenvino.so: cannot open"), "OpenVINO cannot be imported: libopenvino.so: cannot open"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
    ],
)
def test_engine_that_this_system_cannot_load_is_passed_over_with_a_reason(
    checkpoint: Checkpoint,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    class Unloadable:
        def __getattr__(self, name: str) -> NoReturn:
            raise error

    monkeypatch.setitem(sys.modules, "whisker.model.engines.openvino_engine", Unloadable())
    caplog.set_level(logging.INFO)
    classifier = Classifier(checkpoint)
    classifier.use_engine()
    assert not classifier.engine.startswith("openvino")
    passed = {vars(record)["engine"]: vars(record)["reason"] for record in caplog.records if "passed" in record.message}
    assert reason in passed["openvino"]


@pytest.mark.parametrize(
    ("name", "message"), [("fast", "The engine is one of auto, cuda-graphs"), ("cuda-graphs", "NVIDIA GPU")]
)
def test_engine_that_cannot_be_is_refused(checkpoint: Checkpoint, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        Classifier.load(saved(checkpoint, tmp_path), engine=name)
