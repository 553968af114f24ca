import itertools
from dataclasses import asdict
from typing import Any, get_args

import pytest
import torch
from torch import nn

from model.errors import ConfigError
from model.network import Activation, Family, NetworkConfig, build_network

FAMILIES = get_args(Family)


@pytest.mark.parametrize(
    ("family", "activation", "channels"), list(itertools.product(FAMILIES, get_args(Activation), (1, 3)))
)
def test_every_network_gives_logits_and_gradients(family: Family, activation: Activation, channels: Any) -> None:
    network = build_network(NetworkConfig(family, activation, 4, 1, channels, 32), 5)
    logits = network(torch.rand(3, 3, 32, 32))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(16, 16), (33, 47), (160, 128)])
def test_size_may_differ_from_the_configured_one(family: Family, shape: tuple[int, int]) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, size=32), 2).eval()
    assert network(torch.rand(1, 3, *shape)).shape == (1, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_answer_does_not_depend_on_neighbours(family: Family) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, size=32), 2).eval()
    x = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_grey_network_sees_only_luma(family: Family) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, channels=1, size=32), 2).eval()
    colour = torch.rand(1, 3, 32, 32)
    luma = (colour * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(network(colour), network(luma.expand(1, 3, 32, 32)), atol=1e-5, rtol=0)


def test_colour_network_sees_colour() -> None:
    network = build_network(NetworkConfig(width=4, depth=1, size=32), 2).eval()
    x = torch.rand(1, 3, 32, 32)
    assert not torch.allclose(network(x), network(x.flip(1)), atol=1e-4)


def test_activation_is_the_one_asked_for() -> None:
    kinds: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}
    for (name, kind), family in itertools.product(kinds.items(), FAMILIES):
        modules = list(build_network(NetworkConfig(family, name, 4, 1), 2).modules())
        assert {type(module) for module in modules} & set(kinds.values()) == {kind}


def test_residual_network_has_the_common_names_and_shapes() -> None:
    state = build_network(NetworkConfig(width=64, depth=2), 1000).state_dict()
    assert state["conv1.0.weight"].shape == (32, 3, 3, 3)
    assert state["conv1.6.weight"].shape == (64, 32, 3, 3)
    assert state["layer1.0.conv1.weight"].shape == (64, 64, 3, 3)
    assert state["layer2.0.downsample.1.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.bn2.running_var"].shape == (512,)
    assert state["fc.weight"].shape == (1000, 512)
    assert "layer1.0.downsample.1.weight" not in state


def test_residual_block_starts_as_the_identity() -> None:
    network = build_network(NetworkConfig(width=4, depth=2, size=32), 2).eval()
    x = torch.rand(1, 4, 8, 8)  # positive, so that the block's last ReLU changes nothing
    torch.testing.assert_close(network.get_submodule("layer1.1")(x), x)


def test_equal_configurations_build_equal_shapes() -> None:
    config = NetworkConfig("cnn", width=6, depth=2)
    first, second = (build_network(NetworkConfig(**asdict(config)), 3).state_dict() for _ in range(2))
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "transformer"),
        ("activation", "gelu"),
        ("width", 0),
        ("width", 5),
        ("width", 4096),
        ("width", "32"),
        ("depth", 0),
        ("depth", True),
        ("channels", 2),
        ("size", 8),
        ("size", 1024),
    ],
)
def test_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{field} is .*{value}"):
        NetworkConfig(**{field: value})
