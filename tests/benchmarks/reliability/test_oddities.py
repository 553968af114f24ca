import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmarks.reliability.oddities import deep_png, oddities, orientations
from tests.pictures import draw, encode
from whisker.model import Preprocessing

PHOTO = encode(draw("stripes", 0, (60, 44)), "JPEG", quality=95)
ODD = dict(oddities(PHOTO))


def test_eight_orientations_show_one_photo() -> None:
    with Image.open(io.BytesIO(PHOTO)) as photo:
        expected = np.asarray(photo, np.int16)
    stored = orientations(PHOTO)
    assert len(set(stored)) == 8
    for data in stored:
        with Image.open(io.BytesIO(data)) as image:
            shown = np.asarray(ImageOps.exif_transpose(image), np.int16)
        assert np.abs(shown - expected).mean() < 3


@pytest.mark.parametrize("name", ODD)
def test_odd_picture_can_be_decoded(name: str) -> None:
    assert Preprocessing(32).decode(ODD[name]).shape == (32, 32, 3)


def test_odd_pictures_are_as_odd_as_they_are_called() -> None:
    opened = {name: Image.open(io.BytesIO(data)) for name, data in ODD.items() if "HEIC" not in name}
    assert opened["CMYK JPEG"].mode == "CMYK"
    assert opened["multi-picture JPEG (MPO)"].format == "MPO"
    assert ODD["16-bit grey PNG"][24] == ODD["16-bit colour PNG"][24] == 16
    assert opened["grey PNG with alpha"].mode == "LA"
    assert "transparency" in opened["palette PNG with transparency"].info
    for name in ("multi-picture JPEG (MPO)", "animated PNG", "animated GIF", "animated WebP"):
        assert getattr(opened[name], "n_frames", 1) == 4, name
    assert {image.size for name, image in opened.items() if "one pixel" in name} == {(1, 1)}


def test_deep_png_holds_the_same_pixels() -> None:
    picture = draw("rings", 1)
    with Image.open(io.BytesIO(deep_png(picture))) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(picture))
