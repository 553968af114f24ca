"""JPEGs are decoded in half of Pillow's time, and to its pixels."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import draw, encode
from whisker.model.preprocessing import Preprocessing

SIZES = (16, 64, 150, 400)  # a JPEG of 640 x 480 pixels is decoded at 1/8, 1/4, 1/2 and 1/1 for them
PHOTO = draw("rings", 0, (641, 483))  # sides that no block divides
FILES = {
    "4:2:0": encode(PHOTO, "JPEG", quality=75),
    "4:2:2": encode(PHOTO, "JPEG", quality=90, subsampling="4:2:2"),
    "4:4:4": encode(PHOTO, "JPEG", quality=95, subsampling="4:4:4"),
    "RGB": encode(PHOTO, "JPEG", quality=90, keep_rgb=True),
    "progressive": encode(PHOTO, "JPEG", quality=90, progressive=True),
    "restarts": encode(PHOTO, "JPEG", quality=90, restart_marker_rows=1),
    "grey": encode(PHOTO.convert("L"), "JPEG", quality=90),
    "CMYK": encode(PHOTO.convert("CMYK"), "JPEG", quality=90),
}


def by_pillow(data: bytes, size: int) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (size, size))
    return np.array(image.convert("RGB"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FILES)
def test_pixels_are_pillows(name: str, size: int) -> None:
    decoded = Preprocessing(size).read(FILES[name], resized=False).pixels
    np.testing.assert_array_equal(decoded, by_pillow(FILES[name], size))


@pytest.mark.parametrize("size", SIZES)
def test_bytes_too_many_before_a_marker_are_passed_over_as_ever(size: int) -> None:
    data = FILES["4:2:0"]
    damaged = data[:-2] + b"\0\1\2\3" + data[-2:]
    np.testing.assert_array_equal(Preprocessing(size).read(damaged, resized=False).pixels, by_pillow(data, size))


def test_a_damaged_part_that_pillow_lets_pass_still_passes() -> None:
    """Restart markers confine damage to a row of blocks."""
    data = bytearray(FILES["restarts"])
    at = data.index(b"\xff\xd3") + 40
    data[at : at + 3] = b"\x12\x34\x56"
    pixels = Preprocessing(400).read(bytes(data), resized=False).pixels
    np.testing.assert_array_equal(pixels, by_pillow(bytes(data), 400))
    assert (pixels != by_pillow(FILES["restarts"], 400)).any()
