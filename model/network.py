"""The networks: fully connected, convolutional and residual, behind one configuration.

Every network takes float32 `[N, 3, H, W]` RGB in 0..1, normalises inside, and returns logits `[N, classes]`:
`embed` returns the features, which the last layer `fc` turns into logits. `H` and `W` may differ from
`NetworkConfig.size`: all networks pool adaptively.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from whisker.model.errors import ConfigError

Family = Literal["mlp", "cnn", "resnet"]
Activation = Literal["relu", "sigmoid"]
Variant = Literal["d", "original"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: the weights of red, green and blue in a grayscale value
STAGES = 4  # each halves the resolution and doubles the channels, as in ResNet (He et al. 2015)
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Describe a network completely; equal configurations build networks of equal shapes.

    `width` is the units of a hidden layer (mlp) or the channels of the first stage (cnn, resnet). `depth` is the
    hidden layers (mlp), the convolutions a stage (cnn) or the residual blocks a stage (resnet; four numbers where the
    stages differ). `channels` is what the first layer sees: 3 for colour, 1 for grayscale (the input is RGB in both
    cases). `size` is the side in pixels. `variant` is for residual networks: ResNet-D, or the original with a 7x7 stem.

    Raises `ConfigError` for a value out of range.
    """

    family: Family = "resnet"
    activation: Activation = "relu"
    width: int = 32
    depth: int | tuple[int, ...] = 2
    channels: Literal[1, 3] = 3
    size: int = 128
    variant: Variant = "d"

    def __post_init__(self) -> None:
        _require(self.family in get_args(Family), f"family is one of {', '.join(get_args(Family))}", self.family)
        _require(
            self.activation in get_args(Activation),
            f"activation is one of {', '.join(get_args(Activation))}",
            self.activation,
        )
        _require(_is_int(self.width, 2, 2048) and self.width % 2 == 0, "width is an even 2 to 2048", self.width)
        _require(self._depth_is_valid(), "depth is 1 to 16, or four such numbers for a resnet", self.depth)
        _require(self.channels in (1, 3), "channels is 1 (grayscale) or 3 (colour)", self.channels)
        _require(_is_int(self.size, 32, 512), "size is 32 to 512 pixels", self.size)
        _require(self.variant in get_args(Variant), f"variant is one of {', '.join(get_args(Variant))}", self.variant)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a configuration from its JSON object, in which a tuple has become a list."""
        depth = values["depth"]
        return cls(**{**values, "depth": tuple(depth) if isinstance(depth, list) else depth})

    @property
    def depths(self) -> tuple[int, ...]:
        """Give the depth of each of the four stages."""
        return self.depth if isinstance(self.depth, tuple) else (self.depth,) * STAGES

    @property
    def has_feature_map(self) -> bool:
        """Tell whether features belong to places of the picture, as heat maps need."""
        return self.family != "mlp"

    def _depth_is_valid(self) -> bool:
        uniform = not isinstance(self.depth, tuple)
        stages_fit = uniform or (self.family == "resnet" and len(self.depths) == STAGES)
        return stages_fit and all(_is_int(depth, 1, 16) for depth in self.depths)


def build_network(config: NetworkConfig, classes: int) -> "Network":
    """Build the network that `config` describes, with freshly initialised weights."""
    match config.family:
        case "mlp":
            return MultilayerPerceptron(config, classes)
        case "cnn":
            return ConvolutionalNetwork(config, classes)
        case "resnet":
            return ResidualNetwork(config, classes)


def count_multiply_adds(config: NetworkConfig, classes: int) -> int:
    """Count the multiply-adds of one forward pass at the configured size, of convolutions and matrices."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_network(config, classes).eval()(torch.empty(1, 3, config.size, config.size))
    return int(counter.get_total_flops() // 2)


class Normalization(nn.Module):
    """Turn RGB in 0..1 into the channels the network sees, with the training set's mean 0 and deviation 1."""

    mean: Tensor
    std: Tensor
    luma: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.full((channels,), 0.5))
        self.register_buffer("std", torch.full((channels,), 0.25))
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def select(self, x: Tensor) -> Tensor:
        """`[N, 3, H, W]` -> `[N, channels, H, W]`: RGB as it is, or its luma."""
        return x if self.channels == 3 else (x * self.luma).sum(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        return (self.select(x) - self.mean.view(1, -1, 1, 1)) / self.std.view(1, -1, 1, 1)


class Network(nn.Module, ABC):
    """What all networks share: features, and a last layer that turns them into logits."""

    normalization: Normalization
    fc: nn.Linear

    @abstractmethod
    def embed_and_map(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn float32 `[N, 3, H, W]` RGB in 0..1 into features `[N, F]` and the feature map whose mean they are.

        The map is `[N, F, h, w]`; a fully connected network has none.
        """

    def embed(self, x: Tensor) -> Tensor:
        """Turn float32 `[N, 3, H, W]` RGB in 0..1 into features `[N, fc.in_features]`."""
        return self.embed_and_map(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.embed(x))
        return logits


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
            self.hidden.append(_activation(config))
        self.fc = nn.Linear(config.width, classes)
        _initialise(self, config.activation)

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
                self.features.append(_conv3x3(fan_in, fan_out))
                self.features.append(nn.BatchNorm2d(fan_out))
                self.features.append(_activation(config))
                fan_in = fan_out
            self.features.append(nn.MaxPool2d(2, ceil_mode=True))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(fan_in, classes)
        _initialise(self, config.activation)

    def embed_and_map(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.features(self.normalization(x))  # [N, channels, H, W] -> [N, 8 width, H/16, W/16]
        return self.avgpool(x).flatten(1), x  # [N, 8 width]


class ResidualBlock(nn.Module):
    """`activation(x + F(x))` with two 3x3 convolutions in `F` (He et al. 2015, the basic block).

    Where the shape changes, the shortcut has a 1x1 convolution. The original one skips three pixels of four; that of
    ResNet-D (He et al. 2018) pools first.
    """

    def __init__(self, fan_in: int, fan_out: int, stride: int, config: NetworkConfig) -> None:
        super().__init__()
        self.conv1 = _conv3x3(fan_in, fan_out, stride)
        self.bn1 = nn.BatchNorm2d(fan_out)
        self.conv2 = _conv3x3(fan_out, fan_out)
        self.bn2 = nn.BatchNorm2d(fan_out)
        self.activation = _activation(config)
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

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        width = config.width
        self.normalization = Normalization(config.channels)
        self.conv1 = _stem(config)
        self.bn1 = nn.BatchNorm2d(width)
        self.activation = _activation(config)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _residual_stage(width, width, 1, config.depths[0], config)
        self.layer2 = _residual_stage(width, width * 2, 2, config.depths[1], config)
        self.layer3 = _residual_stage(width * 2, width * 4, 2, config.depths[2], config)
        self.layer4 = _residual_stage(width * 4, width * 8, 2, config.depths[3], config)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width * 8, classes)
        _initialise(self, config.activation)

    def embed_and_map(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.normalization(x)  # [N, channels, H, W]
        x = self.activation(self.bn1(self.conv1(x)))  # [N, width, H/2, W/2]
        x = self.layer1(self.maxpool(x))  # [N, width, H/4, W/4]
        x = self.layer2(x)  # [N, 2 width, H/8, W/8]
        x = self.layer3(x)  # [N, 4 width, H/16, W/16]
        x = self.layer4(x)  # [N, 8 width, H/32, W/32]
        return self.avgpool(x).flatten(1), x  # [N, 8 width]


def _stem(config: NetworkConfig) -> nn.Module:
    """Halve the resolution with one 7x7 convolution (original) or three of 3x3 (ResNet-D)."""
    width = config.width
    if config.variant == "original":
        return nn.Conv2d(config.channels, width, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(
        _conv3x3(config.channels, width // 2, stride=2),
        nn.BatchNorm2d(width // 2),
        _activation(config),
        _conv3x3(width // 2, width // 2),
        nn.BatchNorm2d(width // 2),
        _activation(config),
        _conv3x3(width // 2, width),
    )


def _residual_stage(fan_in: int, fan_out: int, stride: int, depth: int, config: NetworkConfig) -> nn.Sequential:
    blocks = [ResidualBlock(fan_in, fan_out, stride, config)]
    blocks += [ResidualBlock(fan_out, fan_out, 1, config) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _conv3x3(fan_in: int, fan_out: int, stride: int = 1) -> nn.Conv2d:
    # No bias: the batch-norm that follows has one.
    return nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)


def _activation(config: NetworkConfig) -> nn.Module:
    return _ACTIVATIONS[config.activation]()


def _initialise(network: Network, activation: Activation) -> None:
    """Keep the variance of activations from layer to layer: He et al. 2015 for ReLU, Glorot & Bengio 2010 for sigmoid.

    The last batch-norm of each residual block starts at zero, so that a block starts as the identity
    (Goyal et al. 2017).
    """
    if network.fc.weight.is_meta:
        return  # shapes without memory; PyTorch would import its compiler for nothing, which takes a second
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if activation == "relu":
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if isinstance(module, nn.Conv2d) else "fan_in")
            else:
                nn.init.xavier_normal_(module.weight, gain=nn.init.calculate_gain("sigmoid"))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.bn2.weight)


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _require(condition: bool, rule: str, value: object) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ConfigError(f"The network's {rule}, not {value!r}.")
