"""From a configuration to its network."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from whisker.model.errors import ConfigError
from whisker.model.networks.base import Network
from whisker.model.networks.config import Family, NetworkConfig
from whisker.model.networks.convnext import ConvNext
from whisker.model.networks.efficientnet import EfficientNetLite
from whisker.model.networks.mobilenet import MobileNetV3
from whisker.model.networks.plain import ConvolutionalNetwork, MultilayerPerceptron
from whisker.model.networks.resnet import ResidualNetwork
from whisker.model.onnx.config import GraphConfig

_FAMILIES: dict[Family, type[Network]] = {
    "mlp": MultilayerPerceptron,
    "cnn": ConvolutionalNetwork,
    "resnet": ResidualNetwork,
    "efficientnet-lite": EfficientNetLite,
    "mobilenetv3": MobileNetV3,
    "convnext": ConvNext,
}


def build_network(config: NetworkConfig | GraphConfig, classes: int) -> Network:
    """Build the network that `config` describes, with freshly initialised weights.

    Raises `ConfigError` for an imported graph.
    """
    config = require_trainable(config)
    return _FAMILIES[config.family](config, classes)


def require_trainable(config: NetworkConfig | GraphConfig) -> NetworkConfig:
    """Give the configuration of a network that PyTorch can build; raise `ConfigError` for an imported graph."""
    if isinstance(config, GraphConfig):
        raise ConfigError(
            "The checkpoint was imported from ONNX: its graph answers and can be calibrated, but PyTorch cannot train, "
            "change, export or look into it."
        )
    return config


def count_multiply_adds(config: NetworkConfig | GraphConfig, classes: int) -> int:
    """Count the multiply-adds of one forward pass at the configured size, of convolutions and matrices."""
    if isinstance(config, GraphConfig):
        return config.multiply_adds
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_network(config, classes).eval()(torch.empty(1, 3, config.size, config.size))
    return int(counter.get_total_flops() // 2)
