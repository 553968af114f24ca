"""ConvNeXt (Liu et al. 2022): large depthwise kernels, layer norms instead of batch-norms, and GELU.

Names of layers are those of timm. Its matrices of Tiny and larger are pointwise convolutions here, which compute the
same: tensors then stay `[N, channels, H, W]` all the way.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from whisker.model.networks.base import Network, Normalization, activation, initialise
from whisker.model.networks.config import NetworkConfig

_EPSILON = 1e-6
_EXPANSION = 4
_INITIAL_SCALE = 1e-6  # blocks start close to the identity


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of each place: `[N, channels, H, W]` (Ba et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # [N, H, W, channels]: as it lies in memory, with channels last
        x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """A learnt factor for each channel (Touvron et al. 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), _INITIAL_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.view(1, -1, 1, 1)


class ConvNextBlock(nn.Module):
    """`x + F(x)`: `F` mixes places with a 7x7 depthwise convolution, then channels with two pointwise ones."""

    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = ChannelNorm(channels)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Conv2d(channels, _EXPANSION * channels, 1),
                act=activation(config.activation),
                fc2=nn.Conv2d(_EXPANSION * channels, channels, 1),
            )
        )
        self.gamma = LayerScale(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.gamma(self.mlp(self.norm(self.conv_dw(x))))
        return out


class ConvNextStage(nn.Module):
    """Halve the resolution, except in the first stage, then go through the blocks."""

    def __init__(self, fan_in: int, channels: int, depth: int, config: NetworkConfig) -> None:
        super().__init__()
        self.downsample = (
            nn.Identity()
            if fan_in == channels
            else nn.Sequential(ChannelNorm(fan_in), nn.Conv2d(fan_in, channels, 2, stride=2))
        )
        self.blocks = nn.Sequential(*(ConvNextBlock(channels, config) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(self.downsample(x))
        return out


class ConvNext(Network):
    """ConvNeXt: patches of 4x4 pixels, four stages, and a norm after pooling."""

    tail_parts: ClassVar[tuple[int, ...]] = (1, 2)  # the last stages

    def __init__(self, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        width = config.width
        self.normalization = Normalization(config.channels)
        self.stem = nn.Sequential(nn.Conv2d(config.channels, width, 4, stride=4), ChannelNorm(width))
        self.stages = nn.Sequential()
        fan_in = width
        for stage, depth in enumerate(config.depths):
            self.stages.append(ConvNextStage(fan_in, width * 2**stage, depth, config))
            fan_in = width * 2**stage
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.norm = ChannelNorm(fan_in)
        self.fc = nn.Linear(fan_in, classes)
        initialise(self, config.activation)

    def parts(self) -> Sequence[nn.Module]:
        return (
            self.normalization,  # [N, channels, H, W]
            self.stem,  # [N, width, H/4, W/4]
            *self.stages,  # to [N, 8 width, H/32, W/32]
        )

    def after_pooling(self) -> Sequence[nn.Module]:
        return (self.norm,)  # [N, 8 width, 1, 1]
