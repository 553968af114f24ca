import dataclasses
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.model.networks import CONFIGS, trained_like
from whisker.model.answers.decision_rule import Outputs
from whisker.model.checkpoint.contents import Int8Cost, Quantization
from whisker.model.engines.quantization import MAX_NARROW_WEIGHT, SimulatedInt8Engine, measure_ranges
from whisker.model.engines.torch_engine import TorchEngine, head_of
from whisker.model.errors import EngineError
from whisker.model.networks.base import Network
from whisker.model.networks.config import NetworkConfig

pytest.importorskip("openvino", reason="openvino is not installed: pip install 'whisker-vision[openvino]'")
from whisker.model.engines import openvino_engine
from whisker.model.engines.openvino_engine import OpenVinoEngine
from whisker.model.engines.openvino_export import export_openvino_model
from whisker.model.engines.openvino_graph import put_together, take_apart

CPUS = os.cpu_count() or 1


@pytest.fixture(params=CONFIGS, ids=str)
def config(request: pytest.FixtureRequest) -> NetworkConfig:
    config: NetworkConfig = request.param
    return config


@pytest.fixture
def pixels() -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (13, 32, 32, 3), dtype=np.uint8))


def compiled(network: Network, quantization: Quantization | None = None) -> OpenVinoEngine:
    """Compile it; in int8 with weights that no processor's sums overflow with."""
    exported = export_openvino_model(network, 32, quantization, max_weight=MAX_NARROW_WEIGHT)
    return OpenVinoEngine(exported, head_of(network), threads=1)


def largest_difference(answers: Outputs, expected: Outputs) -> float:
    """Compare features, as a share of the largest."""
    return float(np.abs(answers.features - expected.features).max() / np.abs(expected.features).max())


def test_compiled_network_answers_as_pytorch_does(config: NetworkConfig, pixels: list[NDArray[np.uint8]]) -> None:
    network = trained_like(config)
    answers = compiled(network).run(pixels)
    assert largest_difference(answers, TorchEngine(network, "cpu").run(pixels)) < 0.05  # bfloat16, where the CPU has it


def test_lone_picture_has_the_same_features_on_more_threads(
    config: NetworkConfig, pixels: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = compiled(trained_like(config))
    opened = OpenVinoEngine(engine.compiled(), engine.head, threads=1)
    asked: list[int] = []
    options = openvino_engine._options  # noqa: SLF001 - on one core, OpenVINO tells of one thread

    def ask(threads: int) -> dict[str, object]:
        asked.append(threads)
        return options(threads)

    monkeypatch.setattr(openvino_engine, "_options", ask)
    for one in (engine, opened):
        asked.clear()
        wide = one.with_threads(2)
        assert (wide.batch_sizes, asked) == ((1,), [2])
        assert largest_difference(wide.run(pixels[:1]), one.run(pixels[:1])) < 0.01


def test_int8_answers_as_its_simulation_does(config: NetworkConfig, pixels: list[NDArray[np.uint8]]) -> None:
    network = trained_like(config)
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    ranges = measure_ranges(network, [x])
    answers = compiled(network, Quantization(ranges, Int8Cost(0.0, 0.0))).run(pixels)
    # What is not int8 is bfloat16, where the CPU has it: values close to the middle of two steps go to the other one.
    simulated = SimulatedInt8Engine(network, "cpu", ranges, max_weight=MAX_NARROW_WEIGHT)
    assert largest_difference(answers, simulated.run(pixels)) < 0.03
    assert largest_difference(answers, TorchEngine(network, "cpu").run(pixels)) < 0.1


class Odd(torch.nn.Module):
    """A layer that computes what no network of ours does."""

    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (torch.nn.Tanh(), "does not support the layer Tanh"),
        (Odd(lambda x: x - 1), "does not support the operation sub"),
        (Odd(lambda x: x.cos()), "does not support the operation cos"),
        (Odd(torch.cos), "does not support the operation cos"),
    ],
)
def test_unknown_layer_or_operation_is_refused(layer: torch.nn.Module, message: str) -> None:
    network = trained_like(NetworkConfig(width=2, depth=1, size=32))
    network.set_submodule("maxpool", layer)
    with pytest.raises(EngineError, match=message):
        export_openvino_model(network, 32)


def test_model_put_together_again_is_the_one_taken_apart(config: NetworkConfig) -> None:
    exported = export_openvino_model(trained_like(config), 32)
    again = take_apart(put_together(pickle.loads(pickle.dumps(exported))))  # noqa: S301 - our own
    assert [dataclasses.replace(node, value=None) for node in again.nodes] == [
        dataclasses.replace(node, value=None) for node in exported.nodes
    ]
    for node, expected in zip(again.nodes, exported.nodes, strict=True):
        np.testing.assert_array_equal(node.value, expected.value)


def test_answer_does_not_depend_on_the_neighbours(pixels: list[NDArray[np.uint8]]) -> None:
    engine = compiled(trained_like(NetworkConfig(width=8, depth=1, size=32)))
    together = engine.run(pixels).logits
    for count in (1, 2, 3, 7):
        apart = np.concatenate([engine.run(pixels[start : start + count]).logits for start in range(0, 13, count)])
        np.testing.assert_allclose(apart, together, atol=1e-3)


def test_signal_is_survived_by_a_process_that_has_dropped_engines() -> None:
    code = """
import gc, signal
from whisker.model.networks.config import NetworkConfig
from tests.model.networks import trained_like
from tests.model.engines.test_openvino_engine import compiled
signal.signal(signal.SIGINT, lambda *_: print("survived"))
engines = [compiled(trained_like(NetworkConfig(width=2, depth=1, size=32))) for _ in range(2)]
while engines:
    del engines[0]
    gc.collect()
signal.raise_signal(signal.SIGINT)
"""
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    assert ended.stdout == "survived\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind threads to cores")
@pytest.mark.skipif(CPUS < 2, reason="there is one core")
def test_no_pass_of_a_worker_binds_its_thread(tmp_path: Path) -> None:
    """A thread bound to a core, or to one of its hyperthreads, would be bound to the same one in every worker.

    On a machine without hyperthreads, OpenVINO binds to all cores there are, which undoes what was set meanwhile.
    """
    code = """
import os, pickle, sys, threading
import numpy as np
from whisker.model.engines.openvino_engine import OpenVinoEngine, start_runtime
everything = os.sched_getaffinity(0)
one = {max(everything)}
start_runtime()
with open(sys.argv[1], "rb") as file:
    engine = OpenVinoEngine(*pickle.load(file), threads=1)
pixels = [np.zeros((32, 32, 3), np.uint8)]
thread = threading.get_native_id()

def run_and_watch():
    seen, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            seen.add(frozenset(os.sched_getaffinity(thread)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(1000):
        engine.run(pixels)
    ended.set()
    watcher.join()
    return seen

seen = run_and_watch()
os.sched_setaffinity(0, one)
seen_after = run_and_watch()
print(seen == {frozenset(everything)} and seen_after == {frozenset(one)}, seen, seen_after)
"""
    network = trained_like(NetworkConfig(width=16, depth=1, size=32))
    file = tmp_path / "engine.pickle"
    file.write_bytes(pickle.dumps((compiled(network).compiled(), head_of(network))))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(CPUS))  # which the tests' own process may not use
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HWLOC_")}
    try:
        command = [sys.executable, "-c", code, str(file)]
        ended = subprocess.run(  # noqa: S603 - our own code
            command, env=environment, check=True, capture_output=True, text=True
        )
    finally:
        os.sched_setaffinity(0, before)
    assert ended.stdout.startswith("True"), ended.stdout
