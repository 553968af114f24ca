"""HEIC and AVIF files: their structure says what decoding costs, and what their frames say counts."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.reliability.video_pictures import avif, heic, heic_grid, resized
from tests.pictures import draw, encode, exif
from whisker.model.errors import PictureError, PictureTooLargeError, UndecodablePictureError
from whisker.model.preprocessing import Preprocessing
from whisker.model.structure.reading import read_outline

PREPROCESSING = Preprocessing(size=64)
RINGS = draw("rings", 0, (200, 160))  # what rings.heic was made from, and turned.heic, with EXIF's orientation 6


def test_heic_shows_its_picture() -> None:
    picture = PREPROCESSING.read(heic())
    assert (picture.width, picture.height, picture.format) == (200, 160, "HEIF")
    assert np.abs(picture.pixels.astype(int) - PREPROCESSING.decode(encode(RINGS, "TIFF"))).mean() < 4


def test_heic_is_turned_once() -> None:
    picture = PREPROCESSING.read(heic("turned"))
    assert (picture.width, picture.height) == (160, 200)
    upright = RINGS.transpose(Image.Transpose.ROTATE_270)
    assert np.abs(picture.pixels.astype(int) - PREPROCESSING.decode(encode(upright, "TIFF"))).mean() < 4


def test_avif_is_turned_once() -> None:
    picture = PREPROCESSING.read(encode(RINGS, "AVIF", exif=exif(6)))
    assert (picture.width, picture.height, picture.format) == (160, 200, "AVIF")


def test_view_of_a_heic_is_as_large_as_asked_for() -> None:
    picture = PREPROCESSING.read(heic(), view_side=100)
    assert picture.view is not None
    assert picture.view.size == (100, 80)


def test_grid_of_a_phone_is_one_picture() -> None:
    picture = PREPROCESSING.read(heic_grid((500, 380), 4, 3))
    assert (picture.width, picture.height) == (500, 380)
    tile = PREPROCESSING.decode(heic("tile"))
    corner = Preprocessing(256).decode(heic_grid((256, 256), 2, 2))[:128, :128]
    assert abs(corner.mean() - tile.mean()) < 2


def test_cost_grows_with_tiles_and_bytes() -> None:
    small, large = read_outline(heic_grid((256, 256), 2, 2)), read_outline(heic_grid((2_560, 2_560), 20, 20))
    assert large.nanoseconds > 50 * small.nanoseconds


@pytest.mark.parametrize(
    "picture",
    [
        resized(heic(), 40, 40),
        resized(avif(Image.new("RGB", (1_000, 800))), 64, 64),
        resized(heic(), 30_000, 30_000),
        resized(avif(Image.new("RGB", (64, 64))), 30_000, 30_000),
    ],
)
def test_size_that_is_not_the_frames_is_too_large(picture: bytes) -> None:
    with pytest.raises(PictureTooLargeError):
        PREPROCESSING.decode(picture)


@pytest.mark.parametrize(
    "picture",
    [
        heic_grid((6_400, 5_120), 50, 40),  # more tiles than there may be
        heic_grid((256, 256), 20, 20),  # more than can be seen
        heic_grid((2_560, 2_560), 2, 2),  # fewer than are needed
        heic().replace(b"hvc1", b"jpeg"),
        heic().replace(b"pitm", b"skip"),
        heic().replace(b"ispe", b"skip"),
        heic().replace(b"hvcC", b"skip"),
    ],
)
def test_structure_that_makes_no_sense_is_undecodable(picture: bytes) -> None:
    with pytest.raises(UndecodablePictureError):
        PREPROCESSING.decode(picture)


def test_parameters_among_the_pictures_bytes_are_refused() -> None:
    """They would count in place of those that the size was read from."""
    data = heic()
    unit = data.index(b"mdat") + 4
    smuggled = data[: unit + 4] + bytes([33 << 1, 1]) + data[unit + 6 :]
    with pytest.raises(UndecodablePictureError):
        PREPROCESSING.decode(smuggled)


@pytest.mark.parametrize("picture", [heic(), heic_grid((256, 256), 2, 2), avif(RINGS)])
def test_any_byte_may_be_wrong(picture: bytes) -> None:
    rng = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(picture)
        for at in rng.integers(0, min(len(picture), 700), 3):
            broken[at] = rng.integers(0, 256)
        try:
            PREPROCESSING.decode(bytes(broken))
        except PictureError:
            continue
