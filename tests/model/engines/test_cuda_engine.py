import numpy as np
import pytest
import torch

from tests.model.networks import CONFIGS, trained_like
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.networks.config import NetworkConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


@pytest.mark.parametrize("count", [1, 3, 32, 45])
def test_recorded_pass_answers_as_pytorch_does(count: int) -> None:
    from whisker.model.engines.cuda_engine import CudaGraphEngine  # noqa: PLC0415

    config = NetworkConfig(width=8, depth=1, size=32)
    network = trained_like(config)
    pixels = list(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))
    engine, expected = CudaGraphEngine(network, "cuda", config.size), TorchEngine(network, "cpu").run(pixels).features
    for _ in range(2):  # a replay must not answer with what is left of the last
        answers = engine.run(pixels).features
        assert float(np.abs(answers - expected).max() / np.abs(expected).max()) < 0.05


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_recorded_pass_of_every_family_answers_as_pytorch_does(config: NetworkConfig) -> None:
    from whisker.model.engines.cuda_engine import CudaGraphEngine  # noqa: PLC0415

    network, size = trained_like(config), config.size
    pixels = list(np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8))
    answers = CudaGraphEngine(network, "cuda", size).run(pixels, with_maps=True)
    expected = TorchEngine(network, "cpu").run(pixels).features
    assert float(np.abs(answers.features - expected).max() / np.abs(expected).max()) < 0.05
    assert (answers.maps is not None) is config.has_feature_map
