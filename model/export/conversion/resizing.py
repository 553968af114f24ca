"""A picture's resize, as a network's first layer: one matrix for each side, rounded to whole values after each.

The height comes first, as in `whisker.model.resizing`; the order decides about roundings. Weights there have some 20
bits, so that a sum next to a half may still be rounded the other way.
"""

import torch
from torch import Tensor, nn

from whisker.model.resizing import Resample


class Resizing(nn.Module):
    """Squash pictures of any height and width to `[N, 3, size, size]`."""

    places: Tensor

    def __init__(self, size: int, resample: Resample) -> None:
        super().__init__()
        self.size = size
        self.filter = _FILTERS[resample]
        self.register_buffer("places", 2.0 * torch.arange(size).view(-1, 1) + 1, persistent=False)  # [size, 1]

    def forward(self, x: Tensor) -> Tensor:
        """Resize whole values 0 to 255 in float32: `[N, 3, H, W]`."""
        columns, rows = self._weights(torch.ones(x.shape[3])).T, self._weights(torch.ones(x.shape[2]))
        return _round(torch.matmul(_round(torch.matmul(rows, x)), columns))  # [size, H], then [W, size]

    def _weights(self, ones: Tensor) -> Tensor:
        """Weigh the `[L]` pixels of a side for each of the `size` ones that they become: `[size, L]`.

        Places are odd numbers of half pixels, times the other side's length: whole numbers, which float32 has exactly
        up to sides of 16,000 pixels and more.
        """
        length = ones.sum()
        pixels = 2 * torch.cumsum(ones, 0) - 1  # [L]
        apart = (pixels * self.size - self.places * length).abs() / (2 * torch.clamp(length, min=self.size))
        weights = self.filter(apart)
        return weights / weights.sum(1, keepdim=True)


def _round(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5).clamp(0, 255)


def _triangle(distance: Tensor) -> Tensor:
    return torch.clamp(1 - distance, min=0)


def _cubic(distance: Tensor) -> Tensor:
    """Weigh as Keys' cubic convolution does, with a = -0.5 (1981)."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = -0.5 * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


_FILTERS = {"bilinear": _triangle, "bicubic": _cubic}
