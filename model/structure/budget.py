"""What decoding a picture may take, in pixels, memory and time; checked before any pixel is decoded."""

from dataclasses import dataclass

from whisker.model.errors import HeavyPictureError, PictureTooLargeError, SlowPictureError
from whisker.model.structure.outline import Format, Outline, too_much_work

MAX_SIDE = 30_000
JPEG_PIXELS = 4  # times as many are accepted of a JPEG that is decoded at half its scale or less
WEBP_PIXELS_COUNT = 2  # each, and AVIF's: Pillow keeps several copies of such a picture

_VIDEO: tuple[Format, ...] = ("HEIF", "AVIF")  # whose picture is a frame of it
_BYTES_A_PIXEL = 8
_OTHER_BYTES_A_PIXEL: dict[Format, int] = {"WEBP": 16, "HEIF": 12, "AVIF": 12}
_NANOSECONDS_A_PIXEL = 32  # of the most pixels that are accepted: what decoding may take
_VIDEO_NANOSECONDS_A_PIXEL = 64  # the same for frames of video: those of phones take 40
_LEAST_NANOSECONDS = 100_000_000  # that decoding may take, however few pixels are accepted
_OUTPUT_NANOSECONDS = 10  # to convert and shrink a decoded pixel, from above
_WEBP_NANOSECONDS = 5  # to decode one, from above
_PROFILE_NANOSECONDS, _PROFILE_BYTE_NANOSECONDS = 3_000_000, 27  # to build a conversion, if it is not remembered


@dataclass(frozen=True, slots=True)
class Light:
    """What decoding may take at most, in memory and in time on one core."""

    bytes: int
    nanoseconds: int


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise `PictureTooLargeError` for more pixels, or a longer side, than are accepted."""
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise PictureTooLargeError(
            f"The picture has {width} x {height} pixels; at most {max_pixels:,} pixels and {MAX_SIDE:,} a side are "
            "accepted."
        )


def most_pixels(outline: Outline, size: tuple[int, int], decoded: tuple[int, int], max_pixels: int) -> int:
    """Tell how many pixels a picture may have that is decoded at the size `decoded`, where `max_pixels` is the rule."""
    if outline.format in ("WEBP", "AVIF"):
        return max_pixels // WEBP_PIXELS_COUNT
    is_reduced = JPEG_PIXELS * decoded[0] * decoded[1] <= size[0] * size[1]
    return JPEG_PIXELS * max_pixels if is_reduced else max_pixels


def check_work(outline: Outline, decoded: tuple[int, int], max_pixels: int, light: Light | None) -> None:
    """Raise `PictureTooLargeError` if decoding takes more time than is accepted, or more of anything than `light`."""
    pixels = decoded[0] * decoded[1]
    nanoseconds = outline.nanoseconds + _OUTPUT_NANOSECONDS * pixels
    if outline.format == "WEBP":
        nanoseconds += _WEBP_NANOSECONDS * pixels
    if outline.profile:
        nanoseconds += _PROFILE_NANOSECONDS + _PROFILE_BYTE_NANOSECONDS * len(outline.profile)
    a_pixel = _VIDEO_NANOSECONDS_A_PIXEL if outline.format in _VIDEO else _NANOSECONDS_A_PIXEL
    if nanoseconds > max(_LEAST_NANOSECONDS, a_pixel * max_pixels):
        raise too_much_work()
    if light is None:
        return
    if _weigh(outline, pixels) > light.bytes:
        raise HeavyPictureError(f"Decoding takes more than {light.bytes:,} bytes.")
    if nanoseconds > light.nanoseconds:
        raise SlowPictureError(f"Decoding takes more than {light.nanoseconds:,} nanoseconds.")


def _weigh(outline: Outline, pixels: int) -> int:
    """Estimate the maximum memory for decoding so many pixels, in bytes."""
    return _OTHER_BYTES_A_PIXEL.get(outline.format, _BYTES_A_PIXEL) * pixels + outline.coefficients
