"""What all networks share: normalisation, features, and a last layer; and how weights are initialised."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from whisker.model.networks.config import Activation

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: the weights of red, green and blue in a grayscale value
_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
}


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
    avgpool: nn.AdaptiveAvgPool2d
    fc: nn.Linear
    # How many of the last parts it makes sense to fine-tune alone, fewest first.
    tail_parts: ClassVar[tuple[int, ...]] = ()

    @abstractmethod
    def parts(self) -> Sequence[nn.Module]:
        """List the modules from pictures to the feature map, in the order data flows.

        Fine-tuning freezes the first of them and trains the others.
        """

    def after_pooling(self) -> Sequence[nn.Module]:
        """List the modules between the pooled map `[N, F, 1, 1]` and the last layer; most networks have none.

        With them, features are no longer the mean of a map.
        """
        return ()

    def embed_and_map(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn float32 `[N, 3, H, W]` RGB in 0..1 into features `[N, F]` and the feature map whose mean they are.

        The map is `[N, F, h, w]`. A network without places, such as a fully connected one, has none; nor has one with
        layers after pooling.
        """
        for part in self.parts():
            x = part(x)
        features, others = self.avgpool(x), self.after_pooling()
        for layer in others:
            features = layer(features)
        return features.flatten(1), None if others else x

    def embed(self, x: Tensor) -> Tensor:
        """Turn float32 `[N, 3, H, W]` RGB in 0..1 into features `[N, fc.in_features]`."""
        return self.embed_and_map(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.embed(x))
        return logits


def conv3x3(fan_in: int, fan_out: int, stride: int = 1) -> nn.Conv2d:
    """Make a 3x3 convolution without bias: the batch-norm that follows has one."""
    return nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)


def activation(kind: Activation) -> nn.Module:
    """Make the non-linearity of a network's neurons."""
    return _ACTIVATIONS[kind]()


def round_channels(channels: float, step: int = 8) -> int:
    """Round to a multiple of `step`, but not down by more than a tenth."""
    rounded = max(step, int(channels + step / 2) // step * step)
    return rounded + step if rounded < 0.9 * channels else rounded


def initialise(network: Network, kind: Activation) -> None:
    """Keep the variance of activations from layer to layer.

    He et al. 2015 for ReLU, Glorot & Bengio 2010 for sigmoid.
    """
    if network.fc.weight.is_meta:
        return  # shapes without memory; PyTorch would import its compiler for nothing, which takes a second
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if kind == "sigmoid":
                nn.init.xavier_normal_(module.weight, gain=nn.init.calculate_gain("sigmoid"))
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if isinstance(module, nn.Conv2d) else "fan_in")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
