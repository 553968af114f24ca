"""Changes of whole batches, float32 `[N, 3, H, W]` in 0..1: turning, zooming, light, and erasing."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_CHANCE = 0.75  # of each change of fastai's
_MARGIN = 1e-3  # keeps logits finite


def turn_and_light(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror, turn by up to 10 degrees, zoom in by up to 1.1, and change brightness and contrast by up to 0.2."""
    turned = functional.grid_sample(
        batch, _grid(batch, rng), mode="bilinear", padding_mode="reflection", align_corners=True
    )
    n = len(batch)
    brightness = np.where(rng.random(n) < _CHANCE, rng.uniform(0.4, 0.6, n), 0.5)
    contrast = np.where(rng.random(n) < _CHANCE, np.exp(rng.uniform(math.log(0.8), -math.log(0.8), n)), 1.0)
    shift = np.log(brightness / (1 - brightness))
    logits = torch.logit(turned, eps=_MARGIN)
    return torch.sigmoid((logits + _column(shift)) * _column(contrast))


def _grid(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw where each picture is sampled: float32 `[N, H, W, 2]`."""
    n = len(batch)
    angle = np.where(rng.random(n) < _CHANCE, rng.uniform(-10, 10, n), 0.0) * math.pi / 180
    zoom = np.where(rng.random(n) < _CHANCE, rng.uniform(1.0, 1.1, n), 1.0)
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    centre = (1 - 1 / zoom) * rng.uniform(-1, 1, (2, n))
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    rows = np.stack([np.stack([flip * cosine, -sine, centre[0]], 1), np.stack([flip * sine, cosine, centre[1]], 1)], 1)
    return functional.affine_grid(torch.from_numpy(rows).float(), list(batch.shape), align_corners=True)


def _column(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values).float().view(-1, 1, 1, 1)


def erase(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Blacken a rectangle of 2 to 33 % of the area in two fifths of the pictures (Zhong et al. 2017)."""
    height, width = batch.shape[2:]
    for picture in batch:
        if rng.random() >= 0.4:
            continue
        area = height * width * rng.uniform(0.02, 0.33)
        ratio = math.exp(rng.uniform(math.log(0.3), math.log(3.3)))
        high, wide = min(height, round(math.sqrt(area * ratio))), min(width, round(math.sqrt(area / ratio)))
        top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
        picture[:, top : top + high, left : left + wide] = 0.0
    return batch
