"""Costly files are known by their structure: refused, or told to be slow; ordinary ones are neither."""

import cProfile
import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from benchmarks.reliability.costly_pictures import (
    commented_gif,
    costly_metadata,
    costly_pixels,
    run_length_bmp,
    scanned_jpeg,
)
from benchmarks.reliability.pictures import black_png, chunk
from tests.pictures import draw, encode, exif
from whisker.model.errors import HeavyPictureError, PictureError, PictureTooLargeError, SlowPictureError
from whisker.model.preprocessing import Preprocessing
from whisker.model.structure.budget import Light
from whisker.model.structure.reading import read_outline

PREPROCESSING = Preprocessing(32)
LIGHT = Light(64_000_000, 10_000_000)
MANY_STEPS = 30_000  # half as many again as the costliest of these files takes
READ = {  # in spite of their metadata, and the bytes at most that Pillow then gets; the others are refused
    "JPEG with 0.7 MB of EXIF in 11 segments": 1_000,
    "JPEG with 5,000 EXIF tags": 1_000,
    "JPEG with an index of 5,000 pictures": 1_000,
    "TIFF with 900 tags of 10 MB": 10_020_000,
}
METADATA = costly_metadata()
PIXELS = costly_pixels()
SMALL = encode(draw("rings", 0, (96, 64)), "JPEG")


def steps(data: bytes) -> tuple[int, str]:
    """Count the function calls that reading a picture takes, Python's and C's; name the error if that is the end.

    A count is the same on every machine, however busy. `python -m benchmarks.reliability` measures the time.
    """
    outcome = ""
    with cProfile.Profile(builtins=True) as profile:
        try:
            PREPROCESSING.read(data, light=LIGHT)
        except PictureError as exc:
            outcome = type(exc).__name__
    return sum(it.callcount for it in profile.getstats()), outcome


@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_read_in_few_steps(name: str) -> None:
    count, outcome = steps(METADATA[name])
    assert outcome == ("" if name in READ else "UndecodablePictureError")
    assert count < MANY_STEPS


@pytest.mark.parametrize("name", READ)
def test_metadata_is_kept_from_pillow(name: str) -> None:
    assert len(read_outline(METADATA[name]).content) < READ[name]


@pytest.mark.parametrize("name", PIXELS)
def test_costly_pixels_are_refused_or_slow_before_they_are_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisker.model.preprocessing.load", lambda *_: pytest.fail("Pixels were decoded."))
    count, outcome = steps(PIXELS[name]())
    assert outcome in ("PictureTooLargeError", "SlowPictureError", "HeavyPictureError")
    assert count < MANY_STEPS


@pytest.mark.parametrize(
    "data", [scanned_jpeg((4_500, 4_500), 250), run_length_bmp((4_000, 2_200)), scanned_jpeg((64, 64), 5_000)]
)
def test_far_too_much_work_is_refused_for_everyone(data: bytes) -> None:
    with pytest.raises(PictureError, match=r"far more work|parts"):
        PREPROCESSING.decode(data)


def test_deep_png_of_50_megapixels_is_refused() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 5_000, 16, 6, 0, 0, 0))  # depth 16, four channels
    with pytest.raises(PictureTooLargeError, match="far more work"):
        PREPROCESSING.decode(b"\x89PNG\r\n\x1a\n" + header + black_png(64, 64)[33:])


def test_memory_of_several_scans_is_counted() -> None:
    """A baseline JPEG may have a scan for each colour; all coefficients are then in memory at once."""
    jpeg = encode(Image.new("RGB", (64, 64)), "JPEG", subsampling=0)
    at = jpeg.index(b"\xff\xda")
    scan = b"".join([b"\xff\xda\0\x08\x01" + bytes([number, 0, 0, 63, 0]) + b"\0" for number in (1, 2, 3)])
    size_at = jpeg.index(b"\xff\xc0") + 5
    large = jpeg[:size_at] + struct.pack(">HH", 4_000, 4_000) + jpeg[size_at + 4 : at] + scan + b"\xff\xd9"
    assert read_outline(large).coefficients == 3 * 500 * 500 * 128
    with pytest.raises(HeavyPictureError) as raised:
        PREPROCESSING.read(large, light=LIGHT)
    assert not isinstance(raised.value, SlowPictureError)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": exif(6)}, {"icc_profile": bytes(200_000)}])
def test_ordinary_photos_are_light_and_unchanged(options: dict[str, object]) -> None:
    photo = encode(draw("rings", 0, (640, 480)), "JPEG", **options)
    with Image.open(io.BytesIO(photo)) as ours, Image.open(io.BytesIO(read_outline(photo).content)) as outlined:
        np.testing.assert_array_equal(np.asarray(outlined), np.asarray(ours))
    assert PREPROCESSING.read(photo, light=LIGHT).format == "JPEG"


def test_progressive_photo_of_12_megapixels_takes_less_than_the_largest_accepted() -> None:
    photo = encode(Image.new("RGB", (4_000, 3_000), "teal"), "JPEG", progressive=True)
    outline = read_outline(photo)
    assert 20_000_000 < outline.nanoseconds < 150_000_000
    assert outline.coefficients == 128 * 250 * 188 * 6


def test_metadata_of_many_kinds_leaves_pixels_and_orientation() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "a" * 1000, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    upright = PREPROCESSING.read(encode(draw("rings", 0), "PNG"))
    turned = PREPROCESSING.read(encode(draw("rings", 0), "PNG", pnginfo=texts))
    assert (turned.width, turned.height) == (upright.height, upright.width)
    profile = "\nexif\n 10\n" + exif(6).tobytes().hex()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", profile, zip=True)
    assert PREPROCESSING.read(encode(draw("rings", 0), "PNG", pnginfo=texts)).width == upright.height


def test_comment_of_a_gif_may_be_long() -> None:
    assert PREPROCESSING.read(commented_gif(10_000)).width == 20


@pytest.mark.parametrize(
    "filling", [b"\xff" * 40, b"\xff\xfe\0\2" * 900, b"\xff\xe1\xff\xff" + bytes(65_533)], ids=["fill", "many", "long"]
)
def test_unusual_headers_are_read(filling: bytes) -> None:
    expected = PREPROCESSING.decode(SMALL)
    np.testing.assert_array_equal(PREPROCESSING.decode(SMALL[:2] + filling + SMALL[2:]), expected)
