"""Small networks of every family whose norms have learnt something."""

import torch
from torch import Tensor, nn

from whisker.model.networks.base import Network
from whisker.model.networks.build import build_network
from whisker.model.networks.config import NetworkConfig
from whisker.model.networks.convnext import ChannelNorm, LayerScale

CONFIGS = (
    NetworkConfig("mlp", width=8, depth=2, size=32, channels=1),
    NetworkConfig("cnn", "sigmoid", width=4, depth=2, size=32),
    NetworkConfig("resnet", width=8, depth=2, size=32),
    NetworkConfig("resnet", width=4, depth=1, size=32, variant="original"),
    NetworkConfig("resnet", width=4, depth=(1, 2, 1, 1), size=32, variant="bottleneck"),
    NetworkConfig("resnet", width=4, depth=1, size=32, variant="bottleneck-d"),
    NetworkConfig("efficientnet-lite", "relu6", depth=1, size=64, variant="lite0"),
    NetworkConfig("mobilenetv3", "hardswish", 16, (1, 2, 2, 1, 1), size=64, variant="small"),
    NetworkConfig("convnext", "gelu", 40, 1, size=64, variant="atto"),
)


def trained_like(config: NetworkConfig, classes: int = 3) -> Network:
    """Build a network with norms and layer scales unlike those of a fresh one, which do nothing."""
    torch.manual_seed(0)
    network = build_network(config, classes)
    for layer in network.modules():
        learnt: list[Tensor | None] = []
        if isinstance(layer, nn.BatchNorm2d):
            learnt = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
        elif isinstance(layer, ChannelNorm):
            learnt = [layer.weight, layer.bias]
        elif isinstance(layer, LayerScale):
            learnt = [layer.weight]
        for values in learnt:
            assert values is not None
            nn.init.uniform_(values, 0.5, 1.5)
    return network
