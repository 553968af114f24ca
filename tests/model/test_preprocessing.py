import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.reliability.video_pictures import heic
from tests.pictures import draw, encode, exif, png_header
from whisker.model.errors import (
    ConfigError,
    PictureError,
    PictureTooLargeError,
    UndecodablePictureError,
    UnsupportedFormatError,
)
from whisker.model.preprocessing import Preprocessing
from whisker.model.structure.budget import MAX_SIDE
from whisker.model.structure.outline import FORMATS

PREPROCESSING = Preprocessing(size=32)
WRITABLE = [format_ for format_ in FORMATS if format_ != "HEIF"]
RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.mark.parametrize("format_", WRITABLE)
def test_every_accepted_format_decodes(format_: str) -> None:
    picture = PREPROCESSING.read(encode(Image.new("RGB", (50, 40), RED), format_))
    assert (picture.width, picture.height, picture.format) == (50, 40, format_)
    assert picture.pixels.shape == (32, 32, 3)
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels.astype(int) - RED).max() <= 3  # JPEG and WebP round


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = Image.new("RGB", (64, 48), WHITE)
    upright.paste(RED, (0, 0, 32, 24))  # top left
    turns = Image.Transpose
    stored = {  # how a camera held so stores the upright picture
        1: upright,
        2: upright.transpose(turns.FLIP_LEFT_RIGHT),
        3: upright.transpose(turns.ROTATE_180),
        4: upright.transpose(turns.FLIP_TOP_BOTTOM),
        5: upright.transpose(turns.TRANSPOSE),
        6: upright.transpose(turns.ROTATE_90),
        7: upright.transpose(turns.TRANSVERSE),
        8: upright.transpose(turns.ROTATE_270),
    }[orientation]
    formats: dict[str, dict[str, Any]] = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}}
    for format_, options in formats.items():
        picture = PREPROCESSING.read(encode(stored, format_, exif=exif(orientation), **options))
        assert (picture.width, picture.height) == (64, 48)
        reference = PREPROCESSING.decode(encode(upright, format_, **options))
        assert np.abs(picture.pixels.astype(int) - reference).max() <= 8


def test_damaged_exif_counts_as_upright() -> None:
    data = encode(draw("rings", 0), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken")
    reference = PREPROCESSING.decode(encode(draw("rings", 0), "JPEG"))
    np.testing.assert_array_equal(PREPROCESSING.decode(data), reference)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(mode: str) -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 20, 40))
    pixels = PREPROCESSING.decode(encode(image.convert(mode)))
    assert pixels[:, :14].max() == 0
    assert pixels[:, 18:].min() == 255


def test_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (20, 0, 40, 40))
    for format_ in ("PNG", "GIF"):
        pixels = PREPROCESSING.decode(encode(image, format_, transparency=0))
        assert (pixels[:, 0] == WHITE).all()
        assert (pixels[:, -1] == RED).all()


def test_background_colour_is_the_configured_one() -> None:
    data = encode(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))
    assert (Preprocessing(32, background=(1, 2, 3)).decode(data) == (1, 2, 3)).all()


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    image = Image.fromarray(np.full((20, 20), 0x8040, np.uint16))
    assert (PREPROCESSING.decode(encode(image)) == 0x80).all()


def test_cmyk_jpeg_keeps_its_colour() -> None:
    pixels = PREPROCESSING.decode(encode(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - RED).max() <= 4


def test_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 255, 0))]
    for format_, options in [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]:
        buffer = io.BytesIO()
        frames[0].save(buffer, format_, save_all=True, append_images=frames[1:], **options)
        assert (PREPROCESSING.decode(buffer.getvalue()) == RED).all()


def test_multi_picture_jpeg_of_a_phone_is_a_jpeg() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), RED).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30))])
    picture = PREPROCESSING.read(buffer.getvalue())
    assert picture.format == "JPEG"
    assert picture.pixels[0, 0, 0] > 250


def test_the_whole_picture_is_kept() -> None:
    wide = Image.new("RGB", (300, 20), WHITE)
    wide.paste(RED, (0, 0, 30, 20))
    wide.paste(RED, (270, 0, 300, 20))
    pixels = PREPROCESSING.decode(encode(wide))
    assert (pixels[:, [0, -1]] == RED).all()
    assert (pixels[:, 16] == WHITE).all()


def test_large_jpeg_decoded_at_reduced_scale_looks_the_same() -> None:
    image = draw("rings", 3, (64, 48)).resize((1024, 768), Image.Resampling.BICUBIC)
    reduced = PREPROCESSING.decode(encode(image, "JPEG", quality=95)).astype(int)
    assert np.abs(reduced - PREPROCESSING.decode(encode(image))).mean() < 3


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"]),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    orientation=st.integers(0, 9),
    size=st.integers(16, 64),
)
@settings(max_examples=80, deadline=None)
def test_any_mode_and_size_gives_pixels_of_the_asked_size(
    mode: str, width: int, height: int, orientation: int, size: int
) -> None:
    image = Image.new(mode, (width, height))
    data = encode(image, "JPEG" if mode == "CMYK" else "PNG", exif=exif(orientation))
    picture = Preprocessing(size).read(data)
    assert picture.pixels.shape == (size, size, 3)
    assert {picture.width, picture.height} == {width, height}


@given(st.binary(max_size=300), st.sampled_from(FORMATS), st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_decode_or_raise_a_picture_error(noise: bytes, format_: str, position: int) -> None:
    whole = heic() if format_ == "HEIF" else encode(draw("stripes", 1), format_)
    try:
        pixels = PREPROCESSING.decode(whole[:position] + noise + whole[position + len(noise) :])
    except PictureError:
        return
    assert pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("format_", FORMATS)
def test_truncated_picture_is_undecodable(format_: str) -> None:
    data = heic() if format_ == "HEIF" else encode(draw("rings", 0, (200, 160)), format_)
    with pytest.raises(UndecodablePictureError):
        PREPROCESSING.decode(data[: len(data) // 2])


@pytest.mark.parametrize("format_", FORMATS)
def test_truncated_header_is_undecodable_not_unsupported(format_: str) -> None:
    with pytest.raises(UndecodablePictureError):
        PREPROCESSING.decode((heic() if format_ == "HEIF" else encode(draw("rings", 0), format_))[:14])


@pytest.mark.parametrize(
    "data", [b"hello", b"%PDF-1.7", b"<svg/>", b"\xff\x0a\xfa", b"\0\0\0\x18ftypmp42", b"%!PS-Adobe-3.0 EPSF-3.0"]
)
def test_other_formats_are_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError):
        PREPROCESSING.decode(data)


def test_png_without_its_end_is_complete_if_its_rows_are() -> None:
    whole = encode(draw("rings", 0, (200, 160)))
    pixels = PREPROCESSING.decode(whole)
    for end in (whole[:-12], whole[:-14], whole[:-12] + b"\0\0vNIDAT", whole + b"more"):
        np.testing.assert_array_equal(PREPROCESSING.decode(end), pixels)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": exif(6)}])
def test_webp_needs_no_right_length_and_nothing_behind_its_picture(options: dict[str, Any]) -> None:
    whole = encode(draw("rings", 0, (200, 160)), "WEBP", **options)
    pixels = PREPROCESSING.decode(whole)
    longer = whole[:4] + (len(whole) + 100).to_bytes(4, "little") + whole[8:]
    cut_in_metadata = whole + b"XMP \xff\0\0\0<x:xmpmeta"
    for variant in (longer, cut_in_metadata, whole + b"more"):
        np.testing.assert_array_equal(PREPROCESSING.decode(variant), pixels)


def test_first_frame_of_a_webp_keeps_its_transparency() -> None:
    frames = [Image.new("RGBA", (20, 20), (255, 0, 0, alpha)) for alpha in (0, 255)]
    webp = encode(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    assert (PREPROCESSING.decode(webp) == WHITE).all()


def test_empty_file_is_undecodable() -> None:
    with pytest.raises(UndecodablePictureError, match="empty"):
        PREPROCESSING.decode(b"")


@pytest.mark.parametrize(
    ("width", "height"),
    [(65_535, 65_535), (50_000, 50_000), (1, 65_535), (MAX_SIDE + 1, 1), (10_000, 9_000), (10_000, 5_001)],
)
def test_too_many_pixels_are_refused_from_the_header(width: int, height: int) -> None:
    # The file holds no such picture: had it been decoded, it would be damaged, not too large.
    with pytest.raises(PictureTooLargeError):
        PREPROCESSING.decode(png_header(width, height))


def test_pixel_limit_is_the_callers() -> None:
    data = encode(Image.new("RGB", (40, 30)))
    assert PREPROCESSING.decode(data, max_pixels=1200).shape == (32, 32, 3)
    with pytest.raises(PictureTooLargeError, match="40 x 30"):
        PREPROCESSING.decode(data, max_pixels=1199)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 8),
        ("size", "big"),
        ("resize", "stretch"),
        ("resample", "nearest"),
        ("background", (1, 2)),
        ("background", (0, 0, 256)),
    ],
)
def test_unknown_preprocessing_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        Preprocessing(**{field: value})


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_crop_is_the_middle_of_a_photo_that_is_scaled_by_its_shorter_side(format_: str) -> None:
    photo = draw("rings", 5, (60, 40)).resize((600, 400), Image.Resampling.BICUBIC)
    cropped = Preprocessing(112, "crop", crop_fraction=0.875).decode(encode(photo, format_, quality=95))
    scaled = photo.resize((192, 128), Image.Resampling.BILINEAR)  # 128 = 112 / 0.875
    middle = np.asarray(scaled.crop((40, 8, 152, 120)))
    assert np.abs(cropped.astype(int) - middle).mean() < (2 if format_ == "PNG" else 5)
    assert np.abs(cropped.astype(int) - Preprocessing(112).decode(encode(photo))).mean() > 20


@pytest.mark.parametrize(
    "wrong", [{"resize": "crop", "crop_fraction": 0.0}, {"crop_fraction": 0.5}, {"resize": "crop", "crop_fraction": 2}]
)
def test_crop_fraction_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="crop"):
        Preprocessing(**wrong)
