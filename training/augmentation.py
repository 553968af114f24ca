"""Augmentation of whole batches: crop, mirror and recolour, with one affine map and no loop."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from model.network import LUMA
from training.config import Recipe

_PRESHRINK = 1.5  # a source larger than this times the target is shrunk first: sampling it directly would alias
_LOG_RATIO = math.log(4 / 3)  # crops between 3:4 and 4:3


def augment(pixels: Tensor, flipped: Tensor, size: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Turn uint8 `[N, H, W, 3]` into differently augmented float32 `[N, 3, size, size]` RGB in 0..1.

    `flipped`, bool `[N]`, says which pictures to mirror; all else is drawn from `generator`. Both are on the CPU.
    """
    x = pixels.permute(0, 3, 1, 2).float() / 255  # [N, 3, H, W], channels last
    if x.shape[2] > _PRESHRINK * size:
        x = functional.interpolate(x, round(_PRESHRINK * size), mode="bilinear", antialias=True)
    x = _crop(x, flipped, size, recipe, generator)
    return _recolour(x, recipe.colour, generator).contiguous(memory_format=torch.channels_last)


def _crop(x: Tensor, flipped: Tensor, size: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Sample a random part of random shape (Inception crop, Szegedy et al. 2015)."""
    n = len(x)
    area = _uniform(n, recipe.minimum_crop, 1.0, generator)
    ratio = _uniform(n, -_LOG_RATIO, _LOG_RATIO, generator).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)  # of the source's 1
    centre_x = _uniform(n, -1.0, 1.0, generator) * (1 - width)
    centre_y = _uniform(n, -1.0, 1.0, generator) * (1 - height)
    mirror = 1 - 2 * flipped.float()
    zero = torch.zeros(n)
    rows = (torch.stack((width * mirror, zero, centre_x), 1), torch.stack((zero, height, centre_y), 1))
    theta = torch.stack(rows, 1).to(x.device)  # [N, 2, 3]: target coordinates -> source coordinates, both -1..1
    grid = functional.affine_grid(theta, [n, 3, size, size], align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _recolour(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Scale brightness, contrast (around each picture's mean) and saturation (around its luma)."""
    brightness, contrast, saturation = (
        (1 + _uniform(len(x), -strength, strength, generator)).view(-1, 1, 1, 1).to(x.device) for _ in range(3)
    )
    luma = (x * torch.tensor(LUMA, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = luma + (x - luma) * saturation
    mean = luma.mean((2, 3), keepdim=True)
    return ((mean + (x - mean) * contrast) * brightness).clamp_(0, 1)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(n).uniform_(low, high, generator=generator)
