"""Pictures that are small as files and huge when decoded, and the largest legal ones; all made here, none stored."""

import io
import struct
from collections.abc import Iterator

from PIL import Image

from benchmarks.reliability.pictures import black_png, chunk, encode, zeros
from benchmarks.reliability.video_pictures import avif, heic, heic_grid, resized

LARGEST = (10_000, 5_000)  # 50 megapixels, the most that are accepted
_JPEG_FRAME = b"\xff\xc0"  # the marker of a baseline JPEG's size
_TEXT_BYTES = 1 << 30


def bombs() -> dict[str, bytes]:
    """Make the bombs, by name: each has to be refused without being decoded."""
    return {
        "PNG of 65,536 x 65,536 pixels": black_png(65_536, 65_536, depth=1),
        "one-bit PNG of 50,000 x 50,000 pixels": black_png(50_000, 50_000, depth=1),
        "PNG of 1 x 65,535 pixels": black_png(1, 65_535),
        "PNG of 65,535 x 1 pixels": black_png(65_535, 1),
        "PNG with 1 GiB of text": black_png(64, 64, extra=chunk(b"zTXt", b"Comment\0\0" + zeros(_TEXT_BYTES))),
        "PNG with a colour profile of 1 GiB": black_png(
            64, 64, extra=chunk(b"iCCP", b"profile\0\0" + zeros(_TEXT_BYTES))
        ),
        "GIF of 44 bytes with a canvas of 65,535 x 65,535": huge_gif(),
        "JPEG that announces 65,500 x 65,500 pixels": huge_jpeg(),
        "WebP that announces 16,384 x 16,384 pixels": huge_webp(),
        "BMP that announces 60,000 x 60,000 pixels": huge_bmp(),
        "TIFF that announces 60,000 x 60,000 pixels": huge_tiff(),
        "HEIC that announces 30,000 x 30,000 pixels": resized(heic(), 30_000, 30_000),
        "HEIC of a frame that is larger than it says": resized(heic(), 40, 40),
        "HEIC grid of 2,000 tiles": heic_grid((6_400, 5_120), 50, 40),
        "AVIF that announces 30,000 x 30,000 pixels": resized(avif(Image.new("RGB", (64, 64))), 30_000, 30_000),
        "AVIF of a frame that is larger than it says": resized(avif(Image.new("RGB", (3_000, 2_000))), 64, 64),
    }


def largest(photo: bytes, size: tuple[int, int] = LARGEST) -> Iterator[tuple[str, bytes]]:
    """Scale a photo up to the largest legal picture, in each format as it is usual, and as a progressive JPEG."""
    with Image.open(io.BytesIO(photo)) as image:
        huge = image.convert("RGB").resize(size, Image.Resampling.NEAREST)  # so that the PNG is less than 20 MB
    yield "JPEG", encode(huge, "JPEG", quality=85)
    yield "progressive JPEG", encode(huge, "JPEG", quality=85, progressive=True)
    yield "PNG", encode(huge, "PNG", compress_level=1)
    yield "TIFF", encode(huge, "TIFF", compression="tiff_adobe_deflate")
    half = huge.reduce((1, 2))  # of the next two, half as many pixels are legal
    yield "AVIF", avif(half)
    yield "WebP", encode(half, "WEBP", quality=50, method=0)


def huge_gif() -> bytes:
    """Write a GIF of 44 bytes whose canvas has 4 gigapixels, and whose one frame covers it."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    control = b"\x21\xf9\x04" + bytes(5)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0)
    return screen + control + frame + b"\x02\x03\x84\x8f\x05\x00\x3b"


def huge_jpeg() -> bytes:
    """Write a JPEG that announces 4 gigapixels and holds one block."""
    small = encode(Image.new("RGB", (8, 8)), "JPEG")
    height_at = small.index(_JPEG_FRAME) + 5  # marker, length, precision
    return small[:height_at] + struct.pack(">HH", 65_500, 65_500) + small[height_at + 4 :]


def huge_webp() -> bytes:
    """Write a lossless WebP that announces 268 megapixels, the most the format can, and holds one."""
    small = encode(Image.new("RGB", (1, 1)), "WEBP", lossless=True)
    size_at = small.index(b"VP8L") + 9  # name, length, signature
    (bits,) = struct.unpack_from("<I", small, size_at)
    sides = (16_383 << 14) | 16_383  # width and height less one, 14 bits each
    return small[:size_at] + struct.pack("<I", bits & 0xF000_0000 | sides) + small[size_at + 4 :]


def huge_bmp() -> bytes:
    """Write a BMP that announces 3.6 gigapixels and holds one."""
    small = encode(Image.new("RGB", (1, 1)), "BMP")
    return small[:18] + struct.pack("<ii", 60_000, 60_000) + small[26:]


def huge_tiff() -> bytes:
    """Write a TIFF that announces 3.6 gigapixels and holds one."""
    small = encode(Image.new("RGB", (1, 1)), "TIFF")
    for tag in (256, 257):  # width and height, one number of 32 bits each
        at = small.index(struct.pack("<HHI", tag, 4, 1)) + 8
        small = small[:at] + struct.pack("<I", 60_000) + small[at + 4 :]
    return small
