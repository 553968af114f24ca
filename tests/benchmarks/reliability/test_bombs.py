"""Bombs are what they claim to be: Pillow believes their headers, and refuses their texts."""

import io
import zlib

import pytest
from PIL import Image

from benchmarks.reliability.bombs import LARGEST, bombs, huge_gif, largest
from benchmarks.reliability.pictures import black_png, zeros
from tests.pictures import draw, encode
from whisker.model import MAX_PIXELS, Preprocessing
from whisker.model.errors import PictureError
from whisker.model.structure.budget import MAX_SIDE

PHOTO = encode(draw("rings", 0), "JPEG")
BOMBS = bombs()
SIZES = {
    "PNG of 65,536 x 65,536 pixels": (65_536, 65_536),
    "one-bit PNG of 50,000 x 50,000 pixels": (50_000, 50_000),
    "PNG of 1 x 65,535 pixels": (1, 65_535),
    "PNG of 65,535 x 1 pixels": (65_535, 1),
    "GIF of 44 bytes with a canvas of 65,535 x 65,535": (65_535, 65_535),
    "JPEG that announces 65,500 x 65,500 pixels": (65_500, 65_500),
    "WebP that announces 16,384 x 16,384 pixels": (16_384, 16_384),
    "BMP that announces 60,000 x 60,000 pixels": (60_000, 60_000),
    "TIFF that announces 60,000 x 60,000 pixels": (60_000, 60_000),
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_bomb_announces_its_size(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(io.BytesIO(BOMBS[name])) as image:
        assert image.size == size
        assert image.format is not None
        assert name.startswith((image.format, "one-bit", "WebP"))


def test_bombs_of_text_and_profile_are_more_than_pillow_unpacks() -> None:
    others = [name for name in BOMBS if "1 GiB" in name]
    assert len(others) == 2
    for name in others:
        with pytest.raises(ValueError, match="Decompressed data too large"):
            Image.open(io.BytesIO(BOMBS[name]))


def test_bombs_are_small_and_refused() -> None:
    assert len(huge_gif()) == 44
    for bomb in BOMBS.values():
        assert len(bomb) < 1_200_000
        with pytest.raises(PictureError):
            Preprocessing(32).decode(bomb)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (3 << 20) + 5])
def test_zeros_are_zeros(length: int) -> None:
    assert zlib.decompress(zeros(length)) == bytes(length)


@pytest.mark.parametrize("depth", [1, 8])
def test_black_png_is_black(depth: int) -> None:
    with Image.open(io.BytesIO(black_png(19, 7, depth=depth))) as image:
        assert image.size == (19, 7)
        assert image.convert("L").getextrema() == (0, 0)


def test_largest_pictures_are_legal_and_of_all_formats() -> None:
    assert LARGEST[0] * LARGEST[1] == MAX_PIXELS
    assert max(LARGEST) <= MAX_SIDE
    pictures = dict(largest(PHOTO, (100, 50)))
    assert list(pictures) == ["JPEG", "progressive JPEG", "PNG", "TIFF", "AVIF", "WebP"]
    for name, data in pictures.items():
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.size == (100, 25 if image.format in ("WEBP", "AVIF") else 50)
            assert image.format == name.upper().split()[-1]
            assert ("progressive" in image.info) == name.startswith("progressive")
