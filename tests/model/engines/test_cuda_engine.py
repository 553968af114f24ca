"""What is recorded and replayed, with a recorder for the CPU; and the same on a GPU where there is one."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.model.networks import CONFIGS, trained_like
from tests.model.recorder import Recorder
from whisker.model.engines.cuda_engine import CudaGraphEngine, half_precision
from whisker.model.engines.torch_engine import FoldedEngine, TorchEngine
from whisker.model.networks.config import NetworkConfig

CONFIG = NetworkConfig(width=8, depth=1, size=32)
on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def random_pictures(count: int, size: int = 32, seed: int = 0) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def largest_error(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(answers - expected).max() / np.abs(expected).max())


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recorded(recorder: Recorder) -> CudaGraphEngine:
    return CudaGraphEngine(trained_like(CONFIG), "cpu", torch.float32, CONFIG.size, record=recorder)


def test_each_batch_size_is_recorded_once(recorded: CudaGraphEngine, recorder: Recorder) -> None:
    assert recorder.recorded == [1, 2, 4, 8, 16, 32]
    recorded.warm_up(CONFIG.size)
    recorded.run(random_pictures(7))
    assert recorder.recorded == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [2]), (3, [4]), (9, [16]), (32, [32]), (33, [32, 1]), (45, [32, 16])]
)
def test_batch_is_filled_up_to_the_next_recorded_size(
    recorded: CudaGraphEngine, recorder: Recorder, count: int, sizes: list[int]
) -> None:
    pictures = random_pictures(count)
    outputs = recorded.run(pictures, with_maps=True)
    assert recorder.replayed == sizes
    expected = FoldedEngine(trained_like(CONFIG), "cpu", torch.float32).run(pictures, with_maps=True)
    assert largest_error(outputs.features, expected.features) < 1e-4
    assert outputs.maps is not None
    assert expected.maps is not None
    assert largest_error(outputs.maps, expected.maps) < 1e-4


def test_answer_holds_nothing_of_the_batch_before_or_after(recorded: CudaGraphEngine) -> None:
    full, short = random_pictures(4), random_pictures(3, seed=1)
    before = recorded.run(full)
    kept = before.features.copy()
    answers = recorded.run(short).features
    plain = TorchEngine(trained_like(CONFIG), "cpu")
    assert len(answers) == 3
    assert largest_error(answers, plain.run(short).features) < 1e-4
    np.testing.assert_array_equal(before.features, kept)


def test_maps_are_given_only_if_asked_for(recorded: CudaGraphEngine) -> None:
    assert recorded.run(random_pictures(2)).maps is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_float32_features(recorder: Recorder, dtype: torch.dtype) -> None:
    network, pictures = trained_like(CONFIG), random_pictures(3)
    features = CudaGraphEngine(network, "cpu", dtype, CONFIG.size, record=recorder).run(pictures).features
    assert features.dtype == np.float32
    assert 0 < largest_error(features, TorchEngine(network, "cpu").run(pictures).features) < 0.05


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
    ids=["V100", "T4", "A100", "H100"],
)
def test_gpus_that_only_emulate_bfloat16_compute_in_float16(capability: tuple[int, int], dtype: torch.dtype) -> None:
    assert half_precision(capability) == dtype


@pytest.mark.parametrize("count", [1, 3, 32, 45])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=on_a_gpu)])
def test_recorded_pass_answers_as_pytorch_does(device: str, dtype: torch.dtype, count: int) -> None:
    network, pixels = trained_like(CONFIG), random_pictures(count)
    engine = CudaGraphEngine(network, device, dtype, CONFIG.size)
    expected = TorchEngine(network, "cpu").run(pixels).features
    for _ in range(2):  # a replay must not answer with what is left of the last
        assert largest_error(engine.run(pixels).features, expected) < 0.05


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=on_a_gpu)])
def test_recorded_pass_of_every_family_answers_as_pytorch_does(device: str, config: NetworkConfig) -> None:
    network, pixels = trained_like(config), random_pictures(3, config.size)
    dtype = half_precision(torch.cuda.get_device_capability(device))
    answers = CudaGraphEngine(network, device, dtype, config.size).run(pixels, with_maps=True)
    expected = TorchEngine(network, "cpu").run(pixels).features
    assert largest_error(answers.features, expected) < 0.05
    assert (answers.maps is not None) is config.has_feature_map
