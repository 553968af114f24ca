"""JPEGs are decoded in half of Pillow's time, and to its pixels."""

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import draw, encode
from whisker.model.errors import UndecodablePictureError
from whisker.model.preprocessing import Preprocessing

# 64 x 64 pixels, quality 40, written by libjpeg with arithmetic codes, which Pillow reads but does not write
ARITHMETIC = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9Mr4R(ZFhTtf`Lw8"
    b"jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0=}O"
    b"01*fPKmb4k0U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#0CLfoo;})*;a1|+U>(u=ROpNJ3k0Ahk74K^!rAsRLKHA_"
    b"@l*OQy}=ihHTf>qzjxw*PP>rMuR+|YUAP1w%H#@B0ZD0{Th(pzU=ZMQXrR9Q@Gy=~8(HJ!J5&=dTa?2yQ_Sb*HMePFy?LQWM60|%"
    b"`~TS"
)
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


def test_arithmetic_codes_that_end_too_early_are_missed() -> None:
    """Libjpeg takes what is missing for zeros, and does not say so."""
    preprocessing = Preprocessing(64)
    np.testing.assert_array_equal(preprocessing.decode(ARITHMETIC), by_pillow(ARITHMETIC, 64))
    with pytest.raises(UndecodablePictureError):
        preprocessing.decode(ARITHMETIC[: len(ARITHMETIC) // 2])
