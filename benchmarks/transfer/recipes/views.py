"""Views of a photo: crops, mirroring, colours, and the random operations of RandAugment."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

_ATTEMPTS = 10  # to fit a random crop into a photo
_RATIO = 4 / 3  # of a crop's sides, at most
_OPERATIONS, _MAGNITUDE = 2, 9 / 30  # of RandAugment's default: 2 operations, 9 of 30
_BILINEAR = Image.Resampling.BILINEAR


def random_crop(
    image: Image.Image,
    size: int,
    rng: np.random.Generator,
    *,
    least: float = 0.08,
    resample: Image.Resampling = _BILINEAR,
) -> Image.Image:
    """Cut a random part of at least a share `least` of the area, and scale it (Szegedy et al. 2015)."""
    for _ in range(_ATTEMPTS):
        area = image.width * image.height * rng.uniform(least, 1.0)
        ratio = math.exp(rng.uniform(-math.log(_RATIO), math.log(_RATIO)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= image.width and 0 < height <= image.height:
            left, top = _place(image, width, height, rng)
            return image.resize((size, size), resample, (left, top, left + width, top + height))
    return centre_crop(image, size)


def centre_crop(
    image: Image.Image, size: int, *, share: float = 1.0, resample: Image.Resampling = _BILINEAR
) -> Image.Image:
    """Scale the central square, whose side is a `share` of the shorter side."""
    side = share * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), resample, (left, top, left + side, top + side))


def random_square(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Scale a square of the full shorter side, at a random place."""
    side = min(image.size)
    left, top = _place(image, side, side, rng)
    return image.resize((size, size), _BILINEAR, (left, top, left + side, top + side))


def _place(image: Image.Image, width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the left and the top of a part."""
    return int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))


def mirror(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Mirror half of the photos."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def jitter(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast and saturation by at most `strength`, in random order."""
    for kind in rng.permutation(3):
        enhancer = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
        image = enhancer(image).enhance(rng.uniform(1 - strength, 1 + strength))
    return image


def rand_augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Apply two random operations of fourteen at magnitude 9 of 30 (Cubuk et al. 2020), with torchvision's ranges."""
    for choice in rng.integers(len(_RAND_AUGMENT), size=_OPERATIONS):
        image = _RAND_AUGMENT[choice](image, float(rng.choice((-_MAGNITUDE, _MAGNITUDE))))
    return image


def _move(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, _BILINEAR)


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, signed: kind(image).enhance(1 + 0.9 * signed)


# Each takes the signed magnitude, of at most 1.
_RAND_AUGMENT: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, _: image,
    lambda image, m: _move(image, 1, 0.3 * m, 0, 0, 1, 0),  # sheared
    lambda image, m: _move(image, 1, 0, 0, 0.3 * m, 1, 0),
    lambda image, m: _move(image, 1, 0, 150 / 331 * image.width * m, 0, 1, 0),  # moved
    lambda image, m: _move(image, 1, 0, 0, 0, 1, 150 / 331 * image.height * m),
    lambda image, m: image.rotate(30 * m, _BILINEAR),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Sharpness),
    lambda image, m: ImageOps.posterize(image, 8 - round(4 * abs(m))),
    lambda image, m: ImageOps.solarize(image, round(255 * (1 - abs(m)))),
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, _: ImageOps.equalize(image),
)
