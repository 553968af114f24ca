import dataclasses
import errno
import logging
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.model.networks import trained_like
from whisker.model import Checkpoint, Classifier, NetworkConfig, Preprocessing, save_checkpoint, with_golden_answers
from whisker.model.checkpoint.contents import Int8Cost, Quantization, Range
from whisker.model.engines.base import Engine
from whisker.model.engines.choice import ENGINES, PLAIN, Candidate, candidates_for, choose_engine
from whisker.model.engines.instructions import has_dot_products
from whisker.model.engines.quantization import measure_ranges
from whisker.model.engines.torch_engine import FoldedEngine, TorchEngine, head_of
from whisker.model.errors import EngineError, InferenceError
from whisker.model.networks.base import Network

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
    with pytest.raises(EngineError, match="without VNNI was not measured; `whisker calibrate` measures it"):
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


class SlowGpu(Engine):
    """The reference on a GPU that is slower than any other engine."""

    def __init__(self, network: Network) -> None:
        super().__init__(head_of(network), "cuda:1")
        self._plain = TorchEngine(network, "cpu")

    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        time.sleep(0.05)
        outputs = self._plain.run(list(batch), with_maps=with_maps)
        return outputs.features, outputs.maps


@pytest.mark.parametrize(
    ("name", "device", "names"),
    [
        ("auto", "cuda", ["cuda-graphs", "torch-bf16", "torch-folded", "torch"]),
        ("auto", "cuda:1", ["cuda-graphs", "torch-bf16", "torch-folded", "torch"]),
        ("auto", "cpu", ["openvino-int8", "openvino", "torch-bf16", "torch-folded", "torch"]),
        ("openvino", "cuda", ["openvino"]),
        ("cuda-graphs", "cpu", ["cuda-graphs"]),
    ],
)
def test_engines_are_tried_in_the_order_of_their_speed(name: str, device: str, names: list[str]) -> None:
    assert [it.name for it in candidates_for(name, device)] == names


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "CUDA out of memory"),
        (torch.AcceleratorError("CUDA error: operation not permitted"), "operation not permitted"),
        (InferenceError("The network's answer is not a finite number."), "is not a finite number"),
    ],
)
def test_engine_that_a_gpu_cannot_run_gives_way_to_the_next(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture, failure: Exception, reason: str
) -> None:
    tried: list[str] = []

    def build(network: Network, _checkpoint: Checkpoint, device: str) -> Engine:
        tried.append(device)
        if len(tried) == 1:
            raise failure
        return FoldedEngine(network, "cpu", torch.float32)

    def find(name: str, device: str) -> list[Candidate]:
        return [dataclasses.replace(it, build=build) for it in candidates_for(name, device)]

    caplog.set_level(logging.INFO)
    classifier = Classifier(checkpoint)
    plain, pixels = SlowGpu(classifier.network), [np.zeros((32, 32, 3), np.uint8)] * 2
    engine, chosen = choose_engine(classifier.network, checkpoint, plain, pixels, find_candidates=find)
    assert chosen.name == "torch-bf16"
    assert isinstance(engine, FoldedEngine)
    assert tried == ["cuda:1", "cuda:1"]
    logged = [(record.message, vars(record)["engine"], vars(record)["reason"]) for record in caplog.records]
    assert [it[:2] for it in logged] == [("Engine passed over", "cuda-graphs"), ("Engine chosen", "torch-bf16")]
    assert reason in logged[0][2]
    tried.clear()
    with pytest.raises(EngineError, match=f"cuda-graphs cannot be used: .*{reason}"):
        choose_engine(classifier.network, checkpoint, plain, pixels, name="cuda-graphs", find_candidates=find)


def test_features_that_half_precision_cannot_hold_are_not_served(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond 65,504, float16 is infinite: what a GPU before Ampere would answer is no reason not to start."""
    network = trained_like(CONFIG, classes=2)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.weight.data.mul_(1000)
    candidate = Candidate(
        "cuda-graphs", lambda network, *_: FoldedEngine(network, "cpu", torch.float16), 0.1, ("cuda",)
    )
    caplog.set_level(logging.INFO)
    plain = TorchEngine(network, "cpu")
    pixels = [np.full((32, 32, 3), 200, np.uint8)]
    _, chosen = choose_engine(network, checkpoint, plain, pixels, find_candidates=lambda *_: [candidate])
    assert chosen is PLAIN
    assert "finite" in vars(caplog.records[-1])["reason"]


def rounding() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda network: TorchEngine(network, "cpu"), (False, False)),
        (lambda network: FoldedEngine(network, "cpu", torch.float32), (False, False)),
        (lambda network: FoldedEngine(network, "cpu", torch.float32, may_use_tf32=True), (True, True)),
    ],
    ids=["reference", "folded", "folded, rounding"],
)
def test_float32_is_rounded_on_a_gpu_only_where_that_is_allowed(
    build: Callable[[Network], Engine], expected: tuple[bool, bool]
) -> None:
    network, seen, before = trained_like(CONFIG), set[tuple[bool, bool]](), rounding()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(lambda *_: seen.add(rounding()))
    build(network).run([np.zeros((32, 32, 3), np.uint8)])
    assert seen == {expected}
    assert rounding() == before


@pytest.mark.parametrize(
    ("name", "message"), [("fast", "The engine is one of auto, cuda-graphs"), ("cuda-graphs", "NVIDIA GPU")]
)
def test_engine_that_cannot_be_is_refused(checkpoint: Checkpoint, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        Classifier.load(saved(checkpoint, tmp_path), engine=name)
