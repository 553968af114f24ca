from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.model.networks import CONFIGS, trained_like
from whisker.model.engines.base import Engine
from whisker.model.engines.graph import fold
from whisker.model.engines.torch_engine import FoldedEngine, TorchEngine
from whisker.model.errors import InferenceError
from whisker.model.networks.base import Network
from whisker.model.networks.build import build_network
from whisker.model.networks.config import NetworkConfig
from whisker.model.networks.convnext import LayerScale


@pytest.fixture
def network() -> Network:
    return trained_like(NetworkConfig(width=2, depth=1, size=32))


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))


@pytest.mark.parametrize("count", [1, 3, 32, 33])
def test_any_number_of_pictures_gives_as_many_rows(network: Network, count: int) -> None:
    pixels = pictures(count)
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    outputs = TorchEngine(network, "cpu").run(pixels)
    np.testing.assert_allclose(outputs.logits, network.eval()(x).detach(), atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(outputs.features, network.embed(x).detach(), atol=1e-5, rtol=1e-4)
    assert outputs.features.shape == (count, network.fc.in_features)


def test_network_of_the_caller_is_left_alone(network: Network) -> None:
    network.train()
    TorchEngine(network, "cpu").warm_up(32)
    FoldedEngine(network, "cpu", torch.bfloat16).warm_up(32)
    assert network.training
    assert all(parameter.dtype == torch.float32 and parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_folded_network_answers_alike(config: NetworkConfig, dtype: torch.dtype, tolerance: float) -> None:
    network, pixels = trained_like(config), pictures(5)
    expected = TorchEngine(network, "cpu").run(pixels)
    answers = FoldedEngine(network, "cpu", dtype).run(pixels)
    scale = float(expected.features.max())
    assert float(np.abs(answers.features - expected.features).max()) <= tolerance * scale


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_folded_network_has_neither_batch_norms_nor_layer_scales(config: NetworkConfig) -> None:
    layers = list(fold(trained_like(config)).modules())
    assert not [layer for layer in layers if isinstance(layer, torch.nn.BatchNorm2d | LayerScale)]


@pytest.mark.parametrize("engine", [TorchEngine, partial(FoldedEngine, dtype=torch.float32)])
def test_answer_that_is_not_finite_raises(network: Network, engine: Callable[[Network, str], Engine]) -> None:
    torch.nn.init.constant_(network.get_parameter("fc.bias"), float("inf"))
    with pytest.raises(InferenceError):
        engine(network, "cpu").run(pictures(1))


def test_shapes_without_memory_are_not_initialised() -> None:
    with torch.device("meta"):
        network = build_network(NetworkConfig(), 2)
    assert network.fc.weight.is_meta
