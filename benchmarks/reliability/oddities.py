"""Pictures that are odd but valid, made from one photo."""

import io
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from benchmarks.reliability.pictures import RGB, black_png, encode, write_png
from benchmarks.reliability.video_pictures import avif, heic, heic_grid

Transpose = Image.Transpose
# How a viewer turns each orientation; its inverse makes the picture that is stored.
_STORED: dict[int, Transpose | None] = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def orientations(photo: bytes) -> list[bytes]:
    """Store one photo in the eight ways of EXIF: all of them show the same."""
    with Image.open(io.BytesIO(photo)) as image:
        upright = image.convert("RGB")
    stored = []
    for orientation, transpose in _STORED.items():
        tags = Image.Exif()
        tags[ExifTags.Base.Orientation] = orientation
        turned = upright if transpose is None else upright.transpose(transpose)
        stored.append(encode(turned, "JPEG", quality=95, subsampling=0, exif=tags))
    return stored


def oddities(photo: bytes) -> Iterator[tuple[str, bytes]]:
    """Store one photo in ways that are rare, and pictures of one pixel."""
    with Image.open(io.BytesIO(photo)) as image:
        rgb = image.convert("RGB")
    grey, small = rgb.convert("L"), rgb.resize((64, 48))
    frames = [small.rotate(angle) for angle in (90, 180, 270)]
    yield "CMYK JPEG", encode(rgb.convert("CMYK"), "JPEG")
    yield "grey JPEG", encode(grey, "JPEG")
    yield "progressive JPEG", encode(rgb, "JPEG", progressive=True)
    yield "multi-picture JPEG (MPO)", encode(rgb, "MPO", save_all=True, append_images=frames)
    yield "16-bit grey PNG", encode(grey.convert("I").point(lambda value: value * 257).convert("I;16"), "PNG")
    yield "16-bit colour PNG", deep_png(rgb)
    yield "grey PNG with alpha", encode(Image.merge("LA", (grey, grey)), "PNG")
    yield "palette PNG with transparency", encode(rgb.convert("P"), "PNG", transparency=0)
    yield "one-bit PNG", encode(rgb.convert("1"), "PNG")
    yield "PNG with alpha", encode(Image.merge("RGBA", (*rgb.split(), grey)), "PNG")
    yield "animated PNG", encode(small, "PNG", save_all=True, append_images=frames)
    yield "animated GIF", encode(small, "GIF", save_all=True, append_images=frames)
    yield "animated WebP", encode(small, "WEBP", save_all=True, append_images=frames)
    yield "WebP with alpha", encode(Image.merge("RGBA", (*small.split(), small.convert("L"))), "WEBP")
    yield "BMP", encode(small, "BMP")
    yield "AVIF", avif(small)
    yield "HEIC", heic()
    yield "HEIC grid", heic_grid((500, 380), 4, 3)
    yield (
        "TIFF of several pages",
        encode(small.copy(), "TIFF", save_all=True, append_images=[it.copy() for it in frames]),
    )
    yield "16-bit TIFF", encode(grey.convert("I").point(lambda value: value * 257).convert("I;16"), "TIFF")
    yield "CMYK TIFF", encode(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "TIFF of JPEGs", encode(rgb, "TIFF", compression="jpeg")
    yield "PNG of one pixel", black_png(1, 1)
    for format_ in ("JPEG", "GIF", "WEBP", "BMP"):
        yield f"{format_} of one pixel", encode(Image.new("RGB", (1, 1), "red"), format_)


def deep_png(image: Image.Image) -> bytes:
    """Write an RGB image as a PNG of 16 bits a channel, which Pillow only reads."""
    pixels = np.asarray(image, np.uint16) * 257  # 0..255 -> 0..65535
    height, width, _ = pixels.shape
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.pad(rows, ((0, 0), (1, 0)))  # each row's filter comes first: 0 is none
    return write_png((width, height), zlib.compress(filtered.tobytes()), depth=16, colour=RGB)
