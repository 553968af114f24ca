"""The networks of a first lesson: fully connected, and plain convolutions."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from whisker.model.networks.base import Network, Normalization, activation, conv3x3, initialise
from whisker.model.networks.config import STAGES, NetworkConfig


class MultilayerPerceptron(Network):
    """The tutorial's network: every neuron is a weighted sum of all inputs plus a bias, then the activation."""

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        self.normalization = Normalization(config.channels)
        self.pool = nn.AdaptiveAvgPool2d(config.size)  # does nothing when the input already has this size
        inputs = config.channels * config.size**2
        widths = [inputs] + [config.width] * config.depths[0]
        self.hidden = nn.Sequential()
        for fan_in, fan_out in pairwise(widths):
            self.hidden.append(nn.Linear(fan_in, fan_out))
            self.hidden.append(activation(config.activation))
        self.fc = nn.Linear(config.width, classes)
        initialise(self, config.activation)

    def parts(self) -> Sequence[nn.Module]:
        return self.normalization, self.pool

    def embed_and_map(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.pool(self.normalization(x))  # [N, channels, size, size]
        return self.hidden(x.flatten(1)), None  # [N, channels * size²] -> [N, width]


class ConvolutionalNetwork(Network):
    """Plain 3x3 convolutions: `depth` of them a stage, then the resolution is halved."""

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        self.normalization = Normalization(config.channels)
        self.features = nn.Sequential()
        fan_in = config.channels
        for stage in range(STAGES):
            fan_out = config.width * 2**stage
            for _ in range(config.depths[stage]):
                self.features.append(conv3x3(fan_in, fan_out))
                self.features.append(nn.BatchNorm2d(fan_out))
                self.features.append(activation(config.activation))
                fan_in = fan_out
            self.features.append(nn.MaxPool2d(2, ceil_mode=True))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(fan_in, classes)
        initialise(self, config.activation)

    def parts(self) -> Sequence[nn.Module]:
        return self.normalization, self.features  # [N, channels, H, W] -> [N, 8 width, H/16, W/16]
