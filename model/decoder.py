"""Decoders, each for the format that a file's structure has shown: Pillow's, and for ordinary JPEGs a faster one."""

import io
import warnings
from typing import Final

import numpy as np
import pi_heif
import pi_heif.options
import simplejpeg
from numpy.typing import NDArray
from pi_heif.as_plugin import HeifImageFile
from PIL import AvifImagePlugin, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from whisker.model.errors import PictureTooLargeError, UndecodablePictureError
from whisker.model.resizing import MOST_PIXELS, Pixels
from whisker.model.structure.orientation import read_orientation
from whisker.model.structure.outline import Format, Outline, damaged_header

_PLUGINS: Final[dict[Format, type[ImageFile]]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "HEIF": HeifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}

_PLAIN: Final = ("RGB", "L")  # Pillow's names for the colours of most JPEGs: not CMYK
_IN_ONE_STEP: Final = ("PNG", "WEBP", "GIF", "BMP")

# Some cameras leave out a JPEG's end marker, and whatever cuts a file off may write one. So Pillow is given none for
# a single scan. Its decoder looks a few bytes ahead, so zeros follow: it then lacks data only if rows are missing.
_END, _AHEAD = b"\xff\xd9", bytes(16)

# Damaged metadata in a photo is not our error, and not worth a log line for each such photo.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# One core a picture: whoever decodes many has a thread or process for each core
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
pi_heif.options.DECODE_THREADS = 1
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


def open_picture(outline: Outline) -> ImageFile:
    """Open a picture, reading only its header; raise `UndecodablePictureError` or `PictureTooLargeError`."""
    try:
        return _PLUGINS[outline.format](io.BytesIO(outline.content))
    except MemoryError as exc:
        raise PictureTooLargeError("The picture has far more pixels than are accepted.") from exc
    except Exception as exc:  # most plug-ins raise `SyntaxError` for a broken header, and some raise others
        raise damaged_header() from exc


def draft(image: ImageFile, format_: Format, square: tuple[int, int], size: tuple[int, int]) -> int:
    """Let a JPEG decode at 1/2, 1/4 or 1/8 scale, for a fraction of the cost, but at no less than `size`.

    Returns by how much the result has to be reduced to be as large as a JPEG decoded for `square`: so that one photo
    has one answer, whatever its format. (The formats that were accepted first are scaled in one step, as ever.)
    """
    whole = image.size
    if format_ in _IN_ONE_STEP:
        return 1
    if format_ != "JPEG":
        return _draft_scale(whole, square)
    try:
        drafted = image.draft(None, (max(square[0], size[0]), max(square[1], size[1])))
    except Exception as exc:  # on hostile bytes a decoder can raise anything at all
        raise UndecodablePictureError("The picture is damaged and cannot be decoded.") from exc
    used = 1 if drafted is None else round(whole[0] / drafted[1][2])
    return _draft_scale(whole, square) // used


def _draft_scale(whole: tuple[int, int], size: tuple[int, int]) -> int:
    """Return the largest of libjpeg's reductions that leaves at least `size`, as Pillow chooses it."""
    most = min(whole[0] // size[0], whole[1] // size[1])
    return next(scale for scale in (8, 4, 2, 1) if most >= scale or scale == 1)


def load(image: ImageFile, outline: Outline, mode: str) -> Pixels:
    """Decode the first frame to a mode of 8 bits a channel, or to RGBA if parts of it are transparent."""
    if outline.format == "JPEG" and outline.is_usual and mode == "RGB" and image.mode in _PLAIN:
        pixels = _load_jpeg(image, outline)
        if pixels is not None:
            return pixels
    if outline.has_single_scan:
        image.fp = io.BytesIO(outline.content[: -len(_END)] + _AHEAD)
    image.load()
    loaded: Image.Image = image
    if image.mode == "I" or image.mode.startswith("I;16"):
        loaded = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))  # 16 bits to 8
    if loaded.has_transparency_data:
        mode = "RGBA"
    return loaded if loaded.mode == mode else loaded.convert(mode)  # which would copy it


def _load_jpeg(image: ImageFile, outline: Outline) -> NDArray[np.uint8] | None:
    """Decode a JPEG in half of Pillow's time, to the same pixels; `None` if anything is wrong with it, or it is large.

    Pillow then has the last word: it is lenient where most of a picture has come.
    """
    width, height = image.size
    if width * height > MOST_PIXELS:  # that Pillow resizes, and would copy
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(outline.content, "RGB", min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def orientation_of(image: ImageFile, outline: Outline) -> int:
    """Return the orientation, 1 (upright) to 8."""
    if outline.orientation is not None:
        return outline.orientation
    return read_orientation(image.info.get("exif") or b"", image.info.get("xmp") or b"")
