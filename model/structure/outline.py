"""What a picture file's structure tells."""

from dataclasses import dataclass
from typing import Literal, get_args

from whisker.model.errors import PictureTooLargeError, UndecodablePictureError

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]
FORMATS: tuple[Format, ...] = get_args(Format)

# For what only unusual files ask: more scans than ordinary JPEGs have, or runs of pixels. Twice what it takes to go
# through the scans of a progressive JPEG of 50 megapixels.
MAX_UNUSUAL_NS = 400_000_000

MAX_PROFILE_BYTES = 3_000_000  # of a profile of colours; those of printers have half a million


@dataclass(frozen=True, slots=True)
class Outline:
    """A picture file without its metadata, and what decoding it costs.

    `nanoseconds` is an estimate from above for one core of a server, without what every pixel that comes out costs.
    `coefficients` counts the bytes that a decoder holds beside the pixels. `orientation` is that of EXIF or XMP, 1 to
    8, and `None` if only the decoder can find it. `profile` says what the colours mean: an ICC profile, or empty for
    sRGB, which is what pictures without a profile are taken for. A JPEG ends with an end marker, whether or not its
    file had one; `has_single_scan` if all of it is in one, from top to bottom, and `is_usual` if it is of the kinds
    that cameras and programs write.
    """

    format: Format
    content: bytes
    nanoseconds: int
    orientation: int | None = 1
    coefficients: int = 0
    profile: bytes = b""
    has_single_scan: bool = False
    is_usual: bool = True


def damaged_header() -> UndecodablePictureError:
    """Make the error for a header that makes no sense."""
    return UndecodablePictureError("The picture's header is damaged and cannot be decoded.")


def incomplete() -> UndecodablePictureError:
    """Make the error for a file that ends before its picture does."""
    return UndecodablePictureError("The picture is incomplete: its file ends before all rows have come.")


def too_much_work() -> PictureTooLargeError:
    """Make the error for a file that takes too long to decode."""
    return PictureTooLargeError("Decoding the picture takes far more work than its file is worth.")


def too_many_parts(most: int) -> UndecodablePictureError:
    """Make the error for a file in more parts than any ordinary picture has."""
    return UndecodablePictureError(f"The picture's file has more than {most:,} parts, as no ordinary picture has.")
