"""From a configuration to its network."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from whisker.model.networks.base import Network
from whisker.model.networks.config import Family, NetworkConfig
from whisker.model.networks.convnext import ConvNext
from whisker.model.networks.efficientnet import EfficientNetLite
from whisker.model.networks.mobilenet import MobileNetV3
from whisker.model.networks.plain import ConvolutionalNetwork, MultilayerPerceptron
from whisker.model.networks.resnet import ResidualNetwork

_FAMILIES: dict[Family, type[Network]] = {
    "mlp": MultilayerPerceptron,
    "cnn": ConvolutionalNetwork,
    "resnet": ResidualNetwork,
    "efficientnet-lite": EfficientNetLite,
    "mobilenetv3": MobileNetV3,
    "convnext": ConvNext,
}


def build_network(config: NetworkConfig, classes: int) -> Network:
    """Build the network that `config` describes, with freshly initialised weights."""
    return _FAMILIES[config.family](config, classes)


def count_multiply_adds(config: NetworkConfig, classes: int) -> int:
    """Count the multiply-adds of one forward pass at the configured size, of convolutions and matrices."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_network(config, classes).eval()(torch.empty(1, 3, config.size, config.size))
    return int(counter.get_total_flops() // 2)
