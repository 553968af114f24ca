"""The first layer of every network: from a picture's colours to what the network sees."""

import torch
from torch import Tensor, nn

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how much red, green and blue each add to a grey value


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
