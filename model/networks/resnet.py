"""Residual networks."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from whisker.model.networks.base import Network, Normalization, activation, conv3x3, initialise
from whisker.model.networks.config import NetworkConfig


class ResidualBlock(nn.Module):
    """`activation(x + F(x))` with two 3x3 convolutions in `F` (He et al. 2015, the basic block).

    Where the shape changes, the shortcut has a 1x1 convolution. The original one skips three pixels of four; that of
    ResNet-D (He et al. 2018) pools first.
    """

    def __init__(self, fan_in: int, fan_out: int, stride: int, config: NetworkConfig) -> None:
        super().__init__()
        self.conv1 = conv3x3(fan_in, fan_out, stride)
        self.bn1 = nn.BatchNorm2d(fan_out)
        self.conv2 = conv3x3(fan_out, fan_out)
        self.bn2 = nn.BatchNorm2d(fan_out)
        self.activation = activation(config)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or fan_in != fan_out:
            pools = config.variant == "d"
            self.downsample = nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, 1 if pools else stride, bias=False))
            if pools:
                self.downsample.insert(0, nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
            self.downsample.append(nn.BatchNorm2d(fan_out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        out: Tensor = self.activation(x + shortcut)
        return out


class ResidualNetwork(Network):
    """A ResNet of basic blocks. Names, and at width 64 shapes, are those of the common ResNet-18 and -34."""

    tail_parts: ClassVar[tuple[int, ...]] = (1, 2)  # the last stages

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        width = config.width
        self.normalization = Normalization(config.channels)
        self.conv1 = _stem(config)
        self.bn1 = nn.BatchNorm2d(width)
        self.activation = activation(config)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _residual_stage(width, width, 1, config.depths[0], config)
        self.layer2 = _residual_stage(width, width * 2, 2, config.depths[1], config)
        self.layer3 = _residual_stage(width * 2, width * 4, 2, config.depths[2], config)
        self.layer4 = _residual_stage(width * 4, width * 8, 2, config.depths[3], config)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width * 8, classes)
        initialise(self, config.activation)
        _start_as_identity(self)

    def parts(self) -> Sequence[nn.Module]:
        return (
            self.normalization,  # [N, channels, H, W]
            self.conv1,
            self.bn1,
            self.activation,  # [N, width, H/2, W/2]
            self.maxpool,
            self.layer1,  # [N, width, H/4, W/4]
            self.layer2,  # [N, 2 width, H/8, W/8]
            self.layer3,  # [N, 4 width, H/16, W/16]
            self.layer4,  # [N, 8 width, H/32, W/32]
        )


def _stem(config: NetworkConfig) -> nn.Module:
    """Halve the resolution with one 7x7 convolution (original) or three of 3x3 (ResNet-D)."""
    width = config.width
    if config.variant == "original":
        return nn.Conv2d(config.channels, width, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(
        conv3x3(config.channels, width // 2, stride=2),
        nn.BatchNorm2d(width // 2),
        activation(config),
        conv3x3(width // 2, width // 2),
        nn.BatchNorm2d(width // 2),
        activation(config),
        conv3x3(width // 2, width),
    )


def _residual_stage(fan_in: int, fan_out: int, stride: int, depth: int, config: NetworkConfig) -> nn.Sequential:
    blocks = [ResidualBlock(fan_in, fan_out, stride, config)]
    blocks += [ResidualBlock(fan_out, fan_out, 1, config) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _start_as_identity(network: ResidualNetwork) -> None:
    """Let each block start as the identity: the last batch-norm of its `F` at zero (Goyal et al. 2017)."""
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.bn2.weight)
