"""Residual networks, of basic or of bottleneck blocks."""

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from torch import Tensor, nn

from whisker.model.networks.base import Network, Normalization, activation, conv3x3, initialise
from whisker.model.networks.config import NetworkConfig

_BOTTLENECK = 4  # times as many channels leave a bottleneck block as its 3x3 convolution has
_RESNET_D = ("d", "bottleneck-d")  # variants with a deep stem and pooled shortcuts (He et al. 2018)


class ResidualBlock(nn.Module):
    """`activation(x + F(x))` with two 3x3 convolutions in `F` (He et al. 2015, the basic block)."""

    expansion = 1

    def __init__(self, fan_in: int, width: int, stride: int, config: NetworkConfig) -> None:
        super().__init__()
        self.conv1 = conv3x3(fan_in, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.activation = activation(config.activation)
        self.downsample = _shortcut(fan_in, width, stride, config)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        out: Tensor = self.activation(x + shortcut)
        return out


class BottleneckBlock(nn.Module):
    """The same with 1x1, 3x3 and 1x1 convolutions: the 3x3 one has a quarter of the channels, and the stride.

    The first publication had the stride in the first convolution; everybody's weights have it here.
    """

    expansion = _BOTTLENECK

    def __init__(self, fan_in: int, width: int, stride: int, config: NetworkConfig) -> None:
        super().__init__()
        fan_out = width * _BOTTLENECK
        self.conv1 = nn.Conv2d(fan_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, fan_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(fan_out)
        self.activation = activation(config.activation)
        self.downsample = _shortcut(fan_in, fan_out, stride, config)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.activation(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        out: Tensor = self.activation(x + shortcut)
        return out


_Block: TypeAlias = ResidualBlock | BottleneckBlock


class ResidualNetwork(Network):
    """A ResNet. Names, and at width 64 shapes, are those of the common ResNet-18, -34, -50, -101 and -152."""

    tail_parts: ClassVar[tuple[int, ...]] = (1, 2)  # the last stages

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        width = config.width
        self.normalization = Normalization(config.channels)
        self.conv1 = _stem(config)
        self.bn1 = nn.BatchNorm2d(width)
        self.activation = activation(config.activation)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        block = BottleneckBlock if config.variant.startswith("bottleneck") else ResidualBlock
        out = block.expansion  # channels of a stage, as a multiple of its width
        depths = config.depths
        self.layer1 = _residual_stage(config, block, width, width, depth=depths[0], stride=1)
        self.layer2 = _residual_stage(config, block, width * out, width * 2, depth=depths[1])
        self.layer3 = _residual_stage(config, block, width * 2 * out, width * 4, depth=depths[2])
        self.layer4 = _residual_stage(config, block, width * 4 * out, width * 8, depth=depths[3])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width * 8 * out, classes)
        initialise(self, config.activation)
        _start_as_identity(self)

    def parts(self) -> Sequence[nn.Module]:
        return (
            self.normalization,  # [N, channels, H, W]
            self.conv1,
            self.bn1,
            self.activation,  # [N, width, H/2, W/2]
            self.maxpool,
            self.layer1,  # [N, width, H/4, W/4]; with bottleneck blocks, here and below, four times as many channels
            self.layer2,  # [N, 2 width, H/8, W/8]
            self.layer3,  # [N, 4 width, H/16, W/16]
            self.layer4,  # [N, 8 width, H/32, W/32]
        )


def _stem(config: NetworkConfig) -> nn.Module:
    """Halve the resolution with one 7x7 convolution (original) or three of 3x3 (ResNet-D)."""
    width = config.width
    if config.variant not in _RESNET_D:
        return nn.Conv2d(config.channels, width, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(
        conv3x3(config.channels, width // 2, stride=2),
        nn.BatchNorm2d(width // 2),
        activation(config.activation),
        conv3x3(width // 2, width // 2),
        nn.BatchNorm2d(width // 2),
        activation(config.activation),
        conv3x3(width // 2, width),
    )


def _residual_stage(
    config: NetworkConfig, block: type[_Block], fan_in: int, width: int, *, depth: int, stride: int = 2
) -> nn.Sequential:
    others = [block(width * block.expansion, width, 1, config) for _ in range(depth - 1)]
    return nn.Sequential(block(fan_in, width, stride, config), *others)


def _shortcut(fan_in: int, fan_out: int, stride: int, config: NetworkConfig) -> nn.Sequential | None:
    """Make the 1x1 convolution of a shortcut whose shape changes.

    The original one skips three pixels of four; that of ResNet-D (He et al. 2018) pools first.
    """
    if stride == 1 and fan_in == fan_out:
        return None
    if config.variant not in _RESNET_D:
        return nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out))
    pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, nn.Conv2d(fan_in, fan_out, 1, bias=False), nn.BatchNorm2d(fan_out))


def _start_as_identity(network: ResidualNetwork) -> None:
    """Let each block start as the identity: the last batch-norm of its `F` at zero (Goyal et al. 2017)."""
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, BottleneckBlock):
            nn.init.zeros_(module.bn3.weight)
