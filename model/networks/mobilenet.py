"""MobileNetV3 (Howard et al. 2019): inverted residuals, some with squeeze-and-excitation, and hard activations.

Names of layers are those of timm, whose `mobilenetv3_large_100` and `mobilenetv3_small_100` weights fit.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from whisker.model.networks.base import Network, Normalization, activation, initialise, round_channels
from whisker.model.networks.config import Activation, NetworkConfig, Variant

_EPSILON = 1e-5  # of batch-norm, in PyTorch


class _Stage(NamedTuple):
    """The shape of a stage: its blocks' kernel, the stride of the first of them, and the channels after and within."""

    kernel: int
    stride: int
    channels: int
    squeezes: bool  # whether blocks have squeeze-and-excitation
    activation: Activation
    widths: tuple[int, ...]


class _Shape(NamedTuple):
    """The shape of a network: its stages, and the channels before and after pooling."""

    stages: tuple[_Stage, ...]
    last: int
    features: int


_SHAPES: dict[Variant, _Shape] = {
    "large": _Shape(
        (
            _Stage(3, 1, 16, squeezes=False, activation="relu", widths=(16,)),
            _Stage(3, 2, 24, squeezes=False, activation="relu", widths=(64, 72)),
            _Stage(5, 2, 40, squeezes=True, activation="relu", widths=(72, 120, 120)),
            _Stage(3, 2, 80, squeezes=False, activation="hardswish", widths=(240, 200, 184, 184)),
            _Stage(3, 1, 112, squeezes=True, activation="hardswish", widths=(480, 672)),
            _Stage(5, 2, 160, squeezes=True, activation="hardswish", widths=(672, 960, 960)),
        ),
        last=960,
        features=1280,
    ),
    "small": _Shape(
        (
            _Stage(3, 2, 16, squeezes=True, activation="relu", widths=(16,)),
            _Stage(3, 2, 24, squeezes=False, activation="relu", widths=(72, 88)),
            _Stage(5, 2, 40, squeezes=True, activation="hardswish", widths=(96, 240, 240)),
            _Stage(5, 1, 48, squeezes=True, activation="hardswish", widths=(120, 144)),
            _Stage(5, 2, 96, squeezes=True, activation="hardswish", widths=(288, 576, 576)),
        ),
        last=576,
        features=1024,
    ),
}


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what all channels are on average (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = round_channels(channels / 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv_reduce = nn.Conv2d(channels, narrow, 1)
        self.act1 = nn.ReLU()
        self.conv_expand = nn.Conv2d(narrow, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.act1(self.conv_reduce(self.pool(x)))  # [N, channels / 4, 1, 1]
        out: Tensor = x * self.gate(self.conv_expand(weight))
        return out


class SeparableBlock(nn.Module):
    """A depthwise and a pointwise convolution; where the shape stays, the input is added."""

    def __init__(self, fan_in: int, width: int, stride: int, stage: _Stage, epsilon: float) -> None:
        super().__init__()
        self.residual = stride == 1 and fan_in == stage.channels
        self.conv_dw = _depthwise(width, stage.kernel, stride)
        self.bn1 = nn.BatchNorm2d(width, epsilon)
        self.act = activation(stage.activation)
        self.se = SqueezeExcitation(width) if stage.squeezes else nn.Identity()
        self.conv_pw = _pointwise(width, stage.channels)
        self.bn2 = nn.BatchNorm2d(stage.channels, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        out = self.se(self.act(self.bn1(self.conv_dw(x))))
        projected: Tensor = self.bn2(self.conv_pw(out))
        return projected + x if self.residual else projected


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, and project; where the shape stays, the input is added."""

    def __init__(self, fan_in: int, width: int, stride: int, stage: _Stage, epsilon: float) -> None:
        super().__init__()
        self.residual = stride == 1 and fan_in == stage.channels
        self.conv_pw = _pointwise(fan_in, width)
        self.bn1 = nn.BatchNorm2d(width, epsilon)
        self.act1 = activation(stage.activation)
        self.conv_dw = _depthwise(width, stage.kernel, stride)
        self.bn2 = nn.BatchNorm2d(width, epsilon)
        self.act2 = activation(stage.activation)
        self.se = SqueezeExcitation(width) if stage.squeezes else nn.Identity()
        self.conv_pwl = _pointwise(width, stage.channels)
        self.bn3 = nn.BatchNorm2d(stage.channels, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv_pw(x)))
        out = self.se(self.act2(self.bn2(self.conv_dw(out))))
        projected: Tensor = self.bn3(self.conv_pwl(out))
        return projected + x if self.residual else projected


class LastConvolution(nn.Module):
    """The pointwise convolution before pooling."""

    def __init__(self, fan_in: int, fan_out: int, config: NetworkConfig, epsilon: float) -> None:
        super().__init__()
        self.conv = _pointwise(fan_in, fan_out)
        self.bn1 = nn.BatchNorm2d(fan_out, epsilon)
        self.act = activation(config.activation)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn1(self.conv(x)))
        return out


class MobileNetV3(Network):
    """MobileNetV3 Large or Small; its last convolution, after pooling, is to 1,280 or 1,024 features."""

    tail_parts: ClassVar[tuple[int, ...]] = (2, 3)  # the last stages

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        shape, epsilon = _SHAPES[config.variant], config.epsilon or _EPSILON
        self.normalization = Normalization(config.channels)
        self.conv_stem = nn.Conv2d(config.channels, config.width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(config.width, epsilon)
        self.act1 = activation(config.activation)
        self.blocks = nn.Sequential()
        fan_in = config.width
        for stage, depth in zip(shape.stages, config.depths, strict=True):
            self.blocks.append(_blocks(fan_in, stage, depth, epsilon))
            fan_in = stage.channels
        self.blocks.append(nn.Sequential(LastConvolution(fan_in, shape.last, config, epsilon)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv_head = nn.Conv2d(shape.last, shape.features, 1)
        self.act2 = activation(config.activation)
        self.fc = nn.Linear(shape.features, classes)
        initialise(self, config.activation)

    def parts(self) -> Sequence[nn.Module]:
        return (
            self.normalization,  # [N, channels, H, W]
            self.conv_stem,
            self.bn1,
            self.act1,  # [N, 16, H/2, W/2]
            *self.blocks,  # to H/32
        )

    def after_pooling(self) -> Sequence[nn.Module]:
        return self.conv_head, self.act2  # [N, features, 1, 1]


def _blocks(fan_in: int, stage: _Stage, depth: int, epsilon: float) -> nn.Sequential:
    blocks = nn.Sequential()
    for index in range(depth):
        width = stage.widths[min(index, len(stage.widths) - 1)]
        block = SeparableBlock if len(stage.widths) == 1 else InvertedResidual
        blocks.append(block(fan_in, width, stage.stride if index == 0 else 1, stage, epsilon))
        fan_in = stage.channels
    return blocks


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)


def _pointwise(fan_in: int, fan_out: int) -> nn.Conv2d:
    return nn.Conv2d(fan_in, fan_out, 1, bias=False)
