"""Small networks of every family whose batch-norms have learnt something."""

import torch
from torch import nn

from whisker.model.networks.base import Network
from whisker.model.networks.build import build_network
from whisker.model.networks.config import NetworkConfig

CONFIGS = (
    NetworkConfig("mlp", width=8, depth=2, size=32, channels=1),
    NetworkConfig("cnn", "sigmoid", width=4, depth=2, size=32),
    NetworkConfig("resnet", width=8, depth=2, size=32),
    NetworkConfig("resnet", width=4, depth=1, size=32, variant="original"),
    NetworkConfig("efficientnet-lite", "relu6", depth=1, size=64, variant="lite0"),
)


def trained_like(config: NetworkConfig, classes: int = 3) -> Network:
    """Build a network with batch-norms unlike those of a fresh one, which do nothing."""
    torch.manual_seed(0)
    network = build_network(config, classes)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
    return network
