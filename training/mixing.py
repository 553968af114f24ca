"""Mixing photos in pairs: two overlaid, or a part of one pasted into the other, and their labels in proportion.

What is learnt by heart about single photos no longer helps, so that long trainings go on improving.
(Mixup: Zhang et al. 2017; CutMix: Yun et al. 2019.)
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_OVERLAY = 0.3  # Beta(a, a): most overlays show one photo strongly and the other faintly


def mix_pairs(x: Tensor, labels: Tensor, classes: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix each photo of float32 `[N, 3, H, W]` with its neighbour in the batch, one half of batches in each way.

    Returns the photos and what they show: each class's share, float32 `[N, classes]`.
    """
    shows = functional.one_hot(labels, classes).float()
    if rng.random() < 0.5:
        share = float(rng.beta(_OVERLAY, _OVERLAY))
        x = x.lerp(x.roll(1, 0), share)
    else:
        x, share = _paste(x, rng)
    return x, shows.lerp(shows.roll(1, 0), share)


def _paste(x: Tensor, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Paste the same rectangle of each photo's neighbour into it; return the photos and the rectangle's share."""
    height, width = x.shape[2:]
    side = math.sqrt(rng.random())  # its square, the share of the area, is uniform
    high, wide = round(height * side), round(width * side)
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    pasted = x.clone(memory_format=torch.preserve_format)
    pasted[:, :, top : top + high, left : left + wide] = x.roll(1, 0)[:, :, top : top + high, left : left + wide]
    return pasted, high * wide / (height * width)
