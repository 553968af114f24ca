"""From a file's bytes to the pixels a network sees: the only place where a picture is decoded and turned upright.

Training, evaluation and serving all come through here, and a checkpoint stores the `Preprocessing` it was trained
with, so that the three cannot drift apart. Normalisation is the network's first layer.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whisker.model import MAX_PIXELS
from whisker.model.errors import (
    ConfigError,
    HeavyPictureError,
    PictureTooLargeError,
    SlowPictureError,
    UndecodablePictureError,
)
from whisker.model.structure.orientation import read_orientation
from whisker.model.structure.outline import Outline, damaged_header, too_much_work
from whisker.model.structure.reading import read_outline

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_SIDE = 30_000
NANOSECONDS_A_PIXEL = 32  # of the most pixels that are accepted: what decoding may take
WEBP_PIXELS_COUNT = 2  # each: Pillow keeps four copies of a WebP picture, 16 bytes a pixel

Resize = Literal["squash"]
Resample = Literal["bilinear", "bicubic"]

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_TURNS = {  # EXIF orientation -> what makes the picture upright (JEITA CP-3451, tag 0x0112)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_LEAST_NANOSECONDS = 100_000_000  # that decoding may take, however few pixels are accepted
_OUTPUT_NANOSECONDS = 10  # to convert and shrink a decoded pixel, from above
_WEBP_NANOSECONDS = 5  # to decode one, from above
_QUARTER_TURNS = (5, 6, 7, 8)  # orientations that swap width and height

_DAMAGED = "The picture is damaged or incomplete and cannot be decoded."

# Pillow only warns between one and two times its own pixel limit. As an error it reaches the handler below.
warnings.simplefilter("error", Image.DecompressionBombWarning)
# Damaged metadata in a photo is not our error, and not worth a log line for each such photo.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `pixels` is uint8 `[size, size, 3]` RGB; width and height are the original's, upright.

    `view` is the picture as people see it, if it was asked for.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    view: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """What decoding may take at most, in memory and in time on one core."""

    bytes: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes pixels. Equal values give equal pixels.

    `size` is the side in pixels. The whole picture is kept and squashed to a square: a crop could cut off what
    it shows (docs/adr/0002). Transparent parts show `background`, an RGB colour.
    """

    size: int = 128
    resize: Resize = "squash"
    resample: Resample = "bilinear"
    background: tuple[int, int, int] = (255, 255, 255)

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not 16 <= self.size <= 512:
            raise ConfigError(f"The picture size is 16 to 512 pixels, not {self.size!r}.")
        if self.resize not in get_args(Resize):
            raise ConfigError(f"This version of Whisker does not know the resize method {self.resize!r}.")
        if self.resample not in get_args(Resample):
            raise ConfigError(f"This version of Whisker does not know the resampling filter {self.resample!r}.")
        if len(self.background) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in self.background):
            raise ConfigError(f"The background is three values of 0 to 255, not {self.background!r}.")

    def decode(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
        """Decode a file's bytes to uint8 `[size, size, 3]` RGB; raise a `PictureError` if they cannot be used."""
        return self.read(data, max_pixels=max_pixels).pixels

    def read(
        self,
        data: bytes,
        *,
        max_pixels: int = MAX_PIXELS,
        light: Light | None = None,
        view_side: int | None = None,
    ) -> Picture:
        """Decode a file's bytes, once, and report the original's width, height and format.

        With `view_side`, the picture comes with a `view` for people: upright, in its own shape, no side longer than
        that many pixels. A JPEG is then decoded at the scale of the view and averaged down to the scale that it would
        otherwise be decoded at: on 200 photos that moved no probability of the bundled checkpoint by more than 0.0012.

        Raises `UnsupportedFormatError`, `PictureTooLargeError` (from the file's structure, before any pixel is decoded;
        `HeavyPictureError` or `SlowPictureError` if decoding would take more than `light`) or
        `UndecodablePictureError`.
        """
        outline = read_outline(data)
        with _open(outline.content) as image:
            width, height = image.size
            _check(image, max_pixels)
            square = (self.size, self.size)
            view_size = None if view_side is None else _fit(width, height, view_side)
            reduction = _draft(image, square, view_size or square)
            _check_work(image, outline, max_pixels, light)
            try:
                whole, orientation = _load(image), _orientation(image, outline)
                view = None if view_size is None else _turn(self._shrink(whole, view_size), orientation)
                if view is not None:
                    view.info.clear()  # comments and the like, which would be saved with it
                reduced = whole.reduce(reduction) if reduction > 1 else whole
                pixels = _turn(self._shrink(reduced, square), orientation)
            except Exception as exc:  # on hostile bytes a decoder can raise anything at all
                raise UndecodablePictureError(_DAMAGED) from exc
            if orientation in _QUARTER_TURNS:
                width, height = height, width
            # A phone's multi-picture JPEG opens as MPO; its first picture is an ordinary JPEG.
            format_ = "JPEG" if image.format == "MPO" else str(image.format)
            return Picture(np.array(pixels, dtype=np.uint8), width, height, format_, view)

    def _shrink(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Squash RGB or RGBA to RGB of a width and height; transparent parts show the background."""
        image = image.resize(size, _RESAMPLING[self.resample])
        if image.mode == "RGB":
            return image
        canvas = Image.new("RGBA", size, (*self.background, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")


def _open(data: bytes) -> Image.Image:
    """Open a picture of an accepted format, reading only its header."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as exc:
        raise PictureTooLargeError("The picture has far more pixels than are accepted.") from exc
    except Exception as exc:  # Pillow says "unidentified" of most broken headers, and some plug-ins raise others
        raise damaged_header() from exc


def _check(image: Image.Image, max_pixels: int) -> None:
    check_size(*image.size, max_pixels // WEBP_PIXELS_COUNT if image.format == "WEBP" else max_pixels)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise `PictureTooLargeError` for more pixels, or a longer side, than are accepted."""
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise PictureTooLargeError(
            f"The picture has {width} x {height} pixels; at most {max_pixels:,} pixels and {MAX_SIDE:,} a side are "
            "accepted."
        )


def _check_work(image: Image.Image, outline: Outline, max_pixels: int, light: Light | None) -> None:
    """Raise `PictureTooLargeError` if decoding takes more time than is accepted, or more of anything than `light`."""
    nanoseconds = outline.nanoseconds + _OUTPUT_NANOSECONDS * image.width * image.height
    if image.format == "WEBP":
        nanoseconds += _WEBP_NANOSECONDS * image.width * image.height
    if nanoseconds > max(_LEAST_NANOSECONDS, NANOSECONDS_A_PIXEL * max_pixels):
        raise too_much_work()
    if light is None:
        return
    if _weigh(image, outline) > light.bytes:
        raise HeavyPictureError(f"Decoding takes more than {light.bytes:,} bytes.")
    if nanoseconds > light.nanoseconds:
        raise SlowPictureError(f"Decoding takes more than {light.nanoseconds:,} nanoseconds.")


def _weigh(image: Image.Image, outline: Outline) -> int:
    """Estimate the maximum memory for decoding, in bytes; at what scale the pixels come out is decided."""
    return (16 if image.format == "WEBP" else 8) * image.width * image.height + outline.coefficients


def _draft(image: Image.Image, square: tuple[int, int], size: tuple[int, int]) -> int:
    """Let a JPEG decode at 1/2, 1/4 or 1/8 scale, for a fraction of the cost, but at no less than `size`.

    Returns how many times larger the result is than if it had been decoded for `square`.
    """
    whole = image.size
    try:
        drafted = image.draft(None, (max(square[0], size[0]), max(square[1], size[1])))
    except Exception as exc:  # as above: it reads more of the header
        raise UndecodablePictureError(_DAMAGED) from exc
    if drafted is None:  # not a JPEG
        return 1
    used = round(whole[0] / drafted[1][2])
    return _draft_scale(whole, square) // used


def _draft_scale(whole: tuple[int, int], size: tuple[int, int]) -> int:
    """Return the largest of libjpeg's reductions that leaves at least `size`, as Pillow chooses it."""
    most = min(whole[0] // size[0], whole[1] // size[1])
    return next(scale for scale in (8, 4, 2, 1) if most >= scale or scale == 1)


def _load(image: Image.Image) -> Image.Image:
    """Decode the first frame to RGB, or to RGBA if parts of it are transparent, with 8 bits a channel."""
    image.load()
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))  # 16 bits to 8
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy it


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture upright."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    """Scale a size down, if it is larger, until its longer side has `side` pixels."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image, outline: Outline) -> int:
    """Return the orientation, 1 (upright) to 8."""
    if outline.orientation is not None:
        return outline.orientation
    return read_orientation(image.info.get("exif", b""), image.info.get("xmp", b""))
