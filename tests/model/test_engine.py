import numpy as np
import pytest
import torch

from model.engine import BATCH_SIZES, Engine, resolve_device
from model.errors import DeviceError, InferenceError
from model.network import Network, NetworkConfig, build_network


@pytest.fixture
def network() -> Network:
    return build_network(NetworkConfig(width=2, depth=1, size=32), 3)


@pytest.mark.parametrize("pictures", [1, 3, BATCH_SIZES[-1], BATCH_SIZES[-1] + 1])
def test_any_number_of_pictures_gives_as_many_rows(network: Network, pictures: int) -> None:
    rng = np.random.default_rng(0)
    pixels = list(rng.integers(0, 256, (pictures, 32, 32, 3), dtype=np.uint8))
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    outputs = Engine(network, "cpu").run(pixels)
    torch.testing.assert_close(outputs.logits, network.eval()(x).detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs.features, network.embed(x).detach(), atol=1e-5, rtol=1e-4)
    assert outputs.features.shape == (pictures, network.fc.in_features)


def test_network_of_the_caller_is_left_alone(network: Network) -> None:
    network.train()
    Engine(network, "cpu").warm_up(32)
    assert network.training


def test_answer_that_is_not_finite_raises(network: Network) -> None:
    torch.nn.init.constant_(network.get_parameter("fc.bias"), float("inf"))
    with pytest.raises(InferenceError):
        Engine(network, "cpu").run([np.zeros((32, 32, 3), np.uint8)])


def test_auto_device_is_always_there() -> None:
    assert resolve_device("auto") in ("cpu", "cuda")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:99", ""])
def test_absent_or_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="device"):
        resolve_device(name)
