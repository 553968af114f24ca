"""Resizing decoded pictures: Pillow's antialiased filters, computed with SIMD instructions.

fast_image_resize, behind cykooz-resizer, computes Pillow's sums in a third of the time, and always the height first,
which decides about roundings. Where it cannot be used, Pillow is told to do it in that order, too: docs/adr/0035.
"""

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

try:
    import cykooz_resizer as simd
except ImportError:  # there are no wheels for Linux on ARM
    simd = None

Resample = Literal["bilinear", "bicubic"]
Box = tuple[float, float, float, float]
Pixels = Image.Image | NDArray[np.uint8]  # a picture of any mode, or uint8 `[height, width, 3]` RGB

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MOST_PIXELS = 1_000_000  # that are copied for it: Pillow needs no copy of a larger picture


def resize(picture: Pixels, size: tuple[int, int], resample: Resample, box: Box | None = None) -> Pixels:
    """Resize a picture, or the part of it within `box` (left, top, right and bottom), to a width and height.

    A filter reaches as far as the reduction is strong (antialiasing), and so weighs every pixel; beyond a box, too.
    With a box, Pillow chooses the order.
    """
    filter_ = _FILTERS[resample]
    if box is not None:
        return as_image(picture).resize(size, filter_, box)
    width, height = size_of(picture)
    is_plain = isinstance(picture, np.ndarray) or picture.mode == "RGB"
    if simd is None or not is_plain or width * height > MOST_PIXELS:
        return as_image(picture).resize((width, size[1]), filter_).resize(size, filter_)
    source = simd.ImageData(width, height, simd.PixelType.U8x3, picture.tobytes())
    target = simd.ImageData(*size, simd.PixelType.U8x3)
    simd.Resizer().resize(source, target, filter_options(resample))  # a shared one would make threads take turns
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(size[1], size[0], 3)


def as_image(picture: Pixels) -> Image.Image:
    """Give a picture as one of Pillow's."""
    return Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture


def size_of(picture: Pixels) -> tuple[int, int]:
    """Give a picture's width and height in pixels."""
    return (picture.shape[1], picture.shape[0]) if isinstance(picture, np.ndarray) else picture.size


@cache
def filter_options(resample: Resample) -> Any:
    """Say it in the library's words."""
    types = {"bilinear": simd.FilterType.bilinear, "bicubic": simd.FilterType.catmull_rom}
    return simd.ResizeOptions(simd.ResizeAlg.convolution(types[resample]))
