"""Augmentation of whole batches: cropping and mirroring uint8 on all cores, recolouring with one matrix per photo."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.cores import available_cores
from whisker.model.networks.base import LUMA

_MAX_LOG_RATIO = math.log(4 / 3)  # crops between 3:4 and 4:3
_OVERLAY = 0.3  # Beta(a, a): most overlays show one photo strongly and the other faintly


@dataclass(frozen=True, slots=True)
class _Crop:
    """The part of one photo that is used, in pixels of the source, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    flipped: bool


class Augmentation:
    """Turn photos of a memory map into training batches, in `threads` threads (default: one per core)."""

    def __init__(self, minimum_crop: float, colour: float, threads: int | None = None) -> None:
        """Crop to no less than `minimum_crop` of the area, and recolour by at most `colour`, both 0..1."""
        self._minimum_crop, self._colour = minimum_crop, colour
        self._threads = threads or available_cores()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="augment")

    def __call__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        flipped: NDArray[np.bool_],
        size: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Augment the photos `rows` of uint8 `[M, H, W, 3]` to float32 `[N, 3, size, size]` RGB in 0..1.

        `flipped` `[N]` tells which of them to mirror; everything else is drawn from `generator`.
        """
        crops = _draw_crops(pixels.shape[1], pixels.shape[2], flipped, self._minimum_crop, generator)
        batch = torch.empty((len(rows), size, size, 3), dtype=torch.uint8)

        def fill(first: int) -> None:
            for index in range(first, len(rows), self._threads):
                batch[index] = _cut(torch.from_numpy(pixels[rows[index]]), crops[index], size)

        list(self._pool.map(fill, range(self._threads)))
        return _recolour(batch, self._colour, generator)


def _draw_crops(
    height: int, width: int, flipped: NDArray[np.bool_], minimum_crop: float, generator: torch.Generator
) -> list[_Crop]:
    """Draw for each photo a part of random size, shape and place (Inception crop, Szegedy et al. 2015)."""
    n = len(flipped)
    area = _uniform(n, minimum_crop, 1.0, generator)
    ratio = _uniform(n, -_MAX_LOG_RATIO, _MAX_LOG_RATIO, generator).exp()
    heights = ((area / ratio).sqrt().clamp(max=1) * height).round().clamp(min=1)
    widths = ((area * ratio).sqrt().clamp(max=1) * width).round().clamp(min=1)
    tops = (_uniform(n, 0, 1, generator) * (height - heights)).round()
    lefts = (_uniform(n, 0, 1, generator) * (width - widths)).round()
    boxes = torch.stack((tops, lefts, heights, widths), 1).int().tolist()
    return [
        _Crop(top, left, high, wide, bool(flip)) for (top, left, high, wide), flip in zip(boxes, flipped, strict=True)
    ]


def _cut(photo: Tensor, crop: _Crop, size: int) -> Tensor:
    """Scale a part of uint8 `[H, W, 3]` to `[size, size, 3]`, antialiased."""
    part = photo[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    part = part.permute(2, 0, 1)[None]  # [1, 3, h, w], channels last
    part = functional.interpolate(part, (size, size), mode="bilinear", antialias=True)
    return (part.flip(3) if crop.flipped else part)[0].permute(1, 2, 0)


def _recolour(batch: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change saturation (around each pixel's luma), contrast (around each photo's mean luma) and brightness.

    All three are linear in the pixel, so one 3 x 3 matrix and one offset per photo do them together:
    uint8 `[N, H, W, 3]` -> float32 `[N, 3, H, W]` in 0..1, channels last.
    """
    n, height, width, _ = batch.shape
    brightness, contrast, saturation = (1 + _uniform(3 * n, -strength, strength, generator)).view(3, n, 1, 1)
    luma = torch.tensor(LUMA).view(1, 3, 1)
    x = batch.view(n, height * width, 3).float()
    mean = x.mean(1, keepdim=True) @ luma  # [N, 1, 1]
    matrix = (saturation * torch.eye(3) + (1 - saturation) * luma) * (contrast * brightness / 255)  # [N, 3, 3]
    offset = mean * (1 - contrast) * brightness / 255
    x = torch.baddbmm(offset, x, matrix).clamp_(0, 1)  # [N, H W, 3]
    return x.view(n, height, width, 3).permute(0, 3, 1, 2)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(n).uniform_(low, high, generator=generator)


def mix_pairs(x: Tensor, labels: Tensor, classes: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix each photo of float32 `[N, 3, H, W]` with its neighbour in the batch: overlaid (mixup) or pasted (CutMix).

    Half of the batches are mixed either way. Returns the photos and the share of each class in them, float32
    `[N, classes]`.
    """
    shares = functional.one_hot(labels, classes).float()
    if rng.random() < 0.5:
        share = float(rng.beta(_OVERLAY, _OVERLAY))
        x = x.lerp(x.roll(1, 0), share)
    else:
        x, share = _paste(x, rng)
    return x, shares.lerp(shares.roll(1, 0), share)


def _paste(x: Tensor, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Paste the same rectangle of each photo's neighbour into it; return the photos and the rectangle's share."""
    height, width = x.shape[2:]
    side = math.sqrt(rng.random())  # its square, the share of the area, is uniform
    high, wide = round(height * side), round(width * side)
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    pasted = x.clone(memory_format=torch.preserve_format)
    pasted[:, :, top : top + high, left : left + wide] = x.roll(1, 0)[:, :, top : top + high, left : left + wide]
    return pasted, high * wide / (height * width)
