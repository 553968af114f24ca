"""From a file's bytes to the pixels a network sees: the only place where a picture is decoded and turned upright.

Training, evaluation and serving all come through here, and a checkpoint stores the `Preprocessing` it was trained
with, so that the three cannot drift apart. Normalisation is the network's first layer.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whisker.model import MAX_PIXELS
from whisker.model.colours import Conversion, find_conversion
from whisker.model.decoder import draft, load, open_picture, orientation_of
from whisker.model.errors import ConfigError, UndecodablePictureError
from whisker.model.resizing import Box, Pixels, Resample, as_image, resize, size_of
from whisker.model.structure.budget import Light, check_size, check_work, most_pixels
from whisker.model.structure.outline import Format
from whisker.model.structure.reading import read_outline

# Raised when files come out as other pixels: 2 turns colours into sRGB, 3 rounds otherwise when it resizes
DECODING_VERSION = 3

Resize = Literal["squash", "crop"]

_TURNS = {  # EXIF orientation -> what makes the picture upright (JEITA CP-3451, tag 0x0112)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

MIN_CROP_FRACTION = 0.1

_QUARTER_TURNS = (5, 6, 7, 8)  # orientations that swap width and height

_DAMAGED = "The picture is damaged or incomplete and cannot be decoded."


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `pixels` is uint8 `[size, size, 3]` RGB; width and height are the original's, upright.

    `view` is the picture as people see it, if it was asked for.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: Format
    view: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes pixels. Equal values give equal pixels.

    `size` is the side in pixels. The whole picture is kept and squashed to a square: a crop could cut off what
    it shows (docs/adr/0002). Imported classifiers may need a crop: the square in the middle whose side is
    `crop_fraction` of the shorter side. Transparent parts show `background`, an RGB colour.
    """

    size: int = 128
    resize: Resize = "squash"
    resample: Resample = "bilinear"
    background: tuple[int, int, int] = (255, 255, 255)
    crop_fraction: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not 16 <= self.size <= 512:
            raise ConfigError(f"The picture size is 16 to 512 pixels, not {self.size!r}.")
        if self.resize not in get_args(Resize):
            raise ConfigError(f"This version of Whisker does not know the resize method {self.resize!r}.")
        if self.resample not in get_args(Resample):
            raise ConfigError(f"This version of Whisker does not know the resampling filter {self.resample!r}.")
        if len(self.background) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in self.background):
            raise ConfigError(f"The background is three values of 0 to 255, not {self.background!r}.")
        if type(self.crop_fraction) not in (int, float) or not MIN_CROP_FRACTION <= self.crop_fraction <= 1:
            raise ConfigError(f"The crop fraction is {MIN_CROP_FRACTION:g} to 1, not {self.crop_fraction!r}.")
        if self.resize == "squash" and self.crop_fraction != 1:
            raise ConfigError("A picture that is squashed is not cropped: its crop fraction is 1.")

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of a header; what only crops have is left out of others."""
        values = asdict(self)
        if self.resize == "squash":
            del values["crop_fraction"]
        return values

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
        resized: bool = True,
    ) -> Picture:
        """Decode a file's bytes, once, and report the original's width, height and format.

        Unless `resized`, pixels are `[height, width, 3]`, for who resizes them: a JPEG is decoded at a reduced scale.

        With `view_side`, the picture comes with a `view` for people: upright, in its own shape, no side longer than
        that many pixels. A JPEG is then decoded at the scale of the view and averaged down to the scale that it would
        otherwise be decoded at: on 200 photos that moved no probability of the bundled checkpoint by more than 0.0012.

        Colours are turned into sRGB after scaling, if the picture has a profile of others.

        Raises `UnsupportedFormatError`, `PictureTooLargeError` (from the file's structure, before any pixel is decoded;
        `HeavyPictureError` or `SlowPictureError` if decoding would take more than `light`) or
        `UndecodablePictureError`.
        """
        outline = read_outline(data)
        with open_picture(outline) as image:
            width, height = image.size
            square = (self.size, self.size)
            whole_size = (math.ceil(self.size / self.crop_fraction),) * 2  # that leaves `square` for what is kept
            view_size = None if view_side is None else _fit(width, height, view_side)
            reduction = draft(image, outline.format, whole_size, view_size or whole_size)
            check_size(width, height, most_pixels(outline, (width, height), image.size, max_pixels))
            check_work(outline, image.size, max_pixels, light)
            try:
                conversion = find_conversion(image, outline.profile)
                orientation = orientation_of(image, outline)
                whole = load(image, outline, "RGB" if conversion is None else conversion.mode)
                view = None
                if view_size is not None:
                    view = as_image(_turn(self._shrink(whole, view_size, conversion), orientation))
                    view.info.clear()  # comments and the like, which would be saved with it
                reduced = as_image(whole).reduce(reduction) if reduction > 1 else whole
                reduced_size = size_of(reduced)
                target, part = (square, self._kept(*reduced_size)) if resized else (reduced_size, None)
                pixels = _turn(self._shrink(reduced, target, conversion, part), orientation)
            except Exception as exc:  # on hostile bytes a decoder can raise anything at all
                raise UndecodablePictureError(_DAMAGED) from exc
            if orientation in _QUARTER_TURNS:
                width, height = height, width
            return Picture(np.array(pixels, dtype=np.uint8), width, height, outline.format, view)

    def _kept(self, width: int, height: int) -> Box | None:
        """Give the part of a picture that the network sees; `None` is all of it."""
        if self.resize == "squash":
            return None
        side = self.crop_fraction * min(width, height)
        left, top = ((whole - side) / 2 for whole in (width, height))
        return left, top, left + side, top + side

    def _shrink(
        self, picture: Pixels, size: tuple[int, int], conversion: Conversion | None, part: Box | None = None
    ) -> Pixels:
        """Squash a picture, or a part of it, to sRGB of a width and height; transparent parts show the background."""
        picture = resize(picture, size, self.resample, part)
        if conversion is None and isinstance(picture, np.ndarray):
            return picture
        image = as_image(picture)
        if conversion is not None:
            image = conversion.apply(image)
        if image.mode == "RGB":
            return image
        canvas = Image.new("RGBA", size, (*self.background, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")


def _turn(picture: Pixels, orientation: int) -> Pixels:
    """Turn a picture upright."""
    return as_image(picture).transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    """Scale a size down, if it is larger, until its longer side has `side` pixels."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
