"""EfficientNet-Lite: EfficientNet (Tan & Le 2019) without what small devices compute slowly (Liu 2020).

There are no squeeze-and-excitation layers, and the activation is ReLU6. Names of layers are those of timm, whose
`tf_efficientnet_lite` weights fit; padding is TensorFlow's, as in the original weights.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from whisker.model.networks.base import Network, Normalization, activation, initialise, round_channels
from whisker.model.networks.config import NetworkConfig, Variant


class _Stage(NamedTuple):
    """The shape of a stage: its blocks' kernel, the stride of the first of them, and the channels within and after."""

    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (  # of EfficientNet-B0
    _Stage(3, 1, 1, 16),
    _Stage(3, 2, 6, 24),
    _Stage(5, 2, 6, 40),
    _Stage(3, 2, 6, 80),
    _Stage(5, 1, 6, 112),
    _Stage(5, 2, 6, 192),
    _Stage(3, 1, 6, 320),
)
_WIDTH_SCALE: dict[Variant, float] = {"lite0": 1.0, "lite1": 1.0, "lite2": 1.1}
_FEATURES = 1280
_EPSILON = 1e-3  # of batch-norm, in TensorFlow


class SeparableBlock(nn.Module):
    """A depthwise and a pointwise convolution (MobileNet, Howard et al. 2017)."""

    def __init__(self, fan_in: int, shape: _Stage, config: NetworkConfig) -> None:
        super().__init__()
        self.pad = _padding(shape.kernel, shape.stride)
        self.conv_dw = _depthwise(fan_in, shape.kernel, shape.stride)
        self.bn1 = nn.BatchNorm2d(fan_in, eps=_EPSILON)
        self.act = activation(config.activation)
        self.conv_pw = _pointwise(fan_in, shape.channels)
        self.bn2 = nn.BatchNorm2d(shape.channels, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv_dw(self.pad(x))))
        out: Tensor = self.bn2(self.conv_pw(x))
        return out


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, and project (MobileNetV2, Sandler et al. 2018).

    Where the shape stays, the input is added.
    """

    def __init__(self, fan_in: int, shape: _Stage, config: NetworkConfig) -> None:
        super().__init__()
        wide = fan_in * shape.expansion
        self.residual = shape.stride == 1 and fan_in == shape.channels
        self.conv_pw = _pointwise(fan_in, wide)
        self.bn1 = nn.BatchNorm2d(wide, eps=_EPSILON)
        self.act1 = activation(config.activation)
        self.pad = _padding(shape.kernel, shape.stride)
        self.conv_dw = _depthwise(wide, shape.kernel, shape.stride)
        self.bn2 = nn.BatchNorm2d(wide, eps=_EPSILON)
        self.act2 = activation(config.activation)
        self.conv_pwl = _pointwise(wide, shape.channels)
        self.bn3 = nn.BatchNorm2d(shape.channels, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv_pw(x)))
        out = self.act2(self.bn2(self.conv_dw(self.pad(out))))
        projected: Tensor = self.bn3(self.conv_pwl(out))
        return projected + x if self.residual else projected


class EfficientNetLite(Network):
    """EfficientNet-Lite0, -1 or -2: a stem, seven stages and a pointwise convolution to 1,280 features."""

    tail_parts: ClassVar[tuple[int, ...]] = (5, 7)  # from the sixth or the fourth stage on

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        self.normalization = Normalization(config.channels)
        self.pad = _padding(3, stride=2)
        self.conv_stem = nn.Conv2d(config.channels, config.width, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(config.width, eps=_EPSILON)
        self.act1 = activation(config.activation)
        self.blocks = nn.Sequential()
        fan_in = config.width
        for shape, depth in zip(_STAGES, config.depths, strict=True):
            channels = round_channels(shape.channels * _WIDTH_SCALE[config.variant])
            self.blocks.append(_stage(fan_in, shape._replace(channels=channels), depth, config))
            fan_in = channels
        self.conv_head = _pointwise(fan_in, _FEATURES)
        self.bn2 = nn.BatchNorm2d(_FEATURES, eps=_EPSILON)
        self.act2 = activation(config.activation)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(_FEATURES, classes)
        initialise(self, config.activation)

    def parts(self) -> Sequence[nn.Module]:
        return (
            self.normalization,  # [N, channels, H, W]
            self.pad,
            self.conv_stem,
            self.bn1,
            self.act1,  # [N, 32, H/2, W/2]
            *self.blocks,  # H/2, H/4, H/8, H/16, H/16, H/32, H/32
            self.conv_head,
            self.bn2,
            self.act2,  # [N, 1280, H/32, W/32]
        )


def _stage(fan_in: int, shape: _Stage, depth: int, config: NetworkConfig) -> nn.Sequential:
    block = SeparableBlock if shape.expansion == 1 else InvertedResidual
    others = [block(shape.channels, shape._replace(stride=1), config) for _ in range(depth - 1)]
    return nn.Sequential(block(fan_in, shape, config), *others)


def _padding(kernel: int, stride: int) -> nn.Module:
    """Pad an even size as TensorFlow does: what is left of an odd padding goes to the right and the bottom."""
    whole = kernel - stride
    before, after = whole // 2, whole - whole // 2
    return nn.ZeroPad2d((before, after, before, after)) if stride > 1 else nn.Identity()


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    padding = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)


def _pointwise(fan_in: int, fan_out: int) -> nn.Conv2d:
    return nn.Conv2d(fan_in, fan_out, 1, bias=False)
