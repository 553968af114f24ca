"""Networks as graphs: batch-norms move into convolutions, and the network computes the same."""

import pytest
import torch
from torch import nn

from whisker.model import NetworkConfig, build_network
from whisker.model.engines.graph import absorb_batch_norms, fold
from whisker.model.networks.base import Network


def used_network(config: NetworkConfig) -> Network:
    """Build a network whose batch-norms are not those of a new one."""
    torch.manual_seed(0)
    network = build_network(config, 3).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
            layer.running_mean.normal_(std=0.3)
            layer.running_var.uniform_(0.5, 2)
    return network


NETWORKS = [
    NetworkConfig(width=4, depth=1, size=32),
    NetworkConfig(width=4, depth=1, size=32, variant="original"),
    NetworkConfig("cnn", width=4, depth=1, size=32),
    NetworkConfig("mlp", width=8, depth=1, size=32, channels=1),
    NetworkConfig.published("lite0", 64),
    NetworkConfig.published("small", 64),
    NetworkConfig.published("atto", 64),
]


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: f"{config.family}-{config.variant}")
def test_absorbing_batch_norms_changes_no_answer(config: NetworkConfig) -> None:
    network = used_network(config)
    pictures = torch.rand((2, 3, config.size, config.size), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = network(pictures)
    absorb_batch_norms(network)
    with torch.inference_mode():
        torch.testing.assert_close(network(pictures), before, atol=1e-4, rtol=1e-4)


def test_absorbed_batch_norms_only_add_their_bias() -> None:
    network = used_network(NetworkConfig.published("lite0", 64))
    absorb_batch_norms(network)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) > 40
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert not norm.running_mean.any()
        torch.testing.assert_close((norm.running_var + norm.eps).sqrt(), torch.ones_like(norm.weight))
        assert (norm.weight == 1).all()


def test_absorbed_weights_are_those_of_the_folded_graph() -> None:
    network = used_network(NetworkConfig(width=4, depth=1, size=32))
    folded = fold(network)
    absorb_batch_norms(network)
    weights = {name: layer.weight for name, layer in folded.named_modules() if isinstance(layer, nn.Conv2d)}
    assert weights
    for name, weight in weights.items():
        torch.testing.assert_close(network.get_submodule(name.removeprefix("network.")).weight, weight)


def test_absorbing_twice_changes_nothing() -> None:
    network = used_network(NetworkConfig(width=4, depth=1, size=32))
    absorb_batch_norms(network)
    once = {name: value.clone() for name, value in network.state_dict().items()}
    absorb_batch_norms(network)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, once[name])
