"""TIFF files: the first page, in 8 or 16 bits, however it is compressed; never more than its pixels need."""

import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from tests.pictures import draw, encode, exif
from whisker.model.errors import UndecodablePictureError
from whisker.model.preprocessing import Preprocessing
from whisker.model.structure.tiff import outline_tiff

PREPROCESSING = Preprocessing(size=64)
PHOTO = draw("rings", 0, (200, 160))
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_looks_the_same(compression: str) -> None:
    pixels = PREPROCESSING.decode(encode(PHOTO, "TIFF", compression=compression)).astype(int)
    assert np.abs(pixels - PREPROCESSING.decode(encode(PHOTO, "TIFF"))).mean() < 4


def test_one_photo_is_decoded_alike_from_tiff_and_jpeg() -> None:
    jpeg = PREPROCESSING.decode(encode(PHOTO, "JPEG", quality=98, subsampling=0)).astype(int)
    assert np.abs(PREPROCESSING.decode(encode(PHOTO, "TIFF")) - jpeg).mean() < 2


def test_first_page_counts() -> None:
    pages = encode(PHOTO, "TIFF", save_all=True, append_images=[Image.new("RGB", (300, 300))])
    picture = PREPROCESSING.read(pages)
    assert (picture.width, picture.height, picture.format) == (200, 160, "TIFF")
    np.testing.assert_array_equal(picture.pixels, PREPROCESSING.decode(encode(PHOTO, "TIFF")))


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_keep_their_brightness(order: str) -> None:
    data = written(20, 10, 16, np.full((10, 20, 3), 0x8040, f"{order}u2").tobytes(), order, samples=3)
    assert (PREPROCESSING.decode(data) == 0x80).all()
    grey = written(20, 10, 16, np.full((10, 20), 0x8040, f"{order}u2").tobytes(), order)
    assert (PREPROCESSING.decode(grey) == 0x80).all()


def test_orientation_is_undone_once() -> None:
    picture = PREPROCESSING.read(encode(PHOTO, "TIFF", exif=exif(6)))
    assert (picture.width, picture.height) == (160, 200)
    turned = PREPROCESSING.decode(encode(PHOTO.transpose(Image.Transpose.ROTATE_270), "TIFF"))
    assert np.abs(picture.pixels.astype(int) - turned).mean() < 4


def test_large_offsets_of_bigtiff_are_read() -> None:
    data = encode(PHOTO, "TIFF", big_tiff=True)
    assert data[2] == 43
    np.testing.assert_array_equal(PREPROCESSING.decode(data), PREPROCESSING.decode(encode(PHOTO, "TIFF")))


def test_tags_that_no_pixel_depends_on_never_reach_the_decoder() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[33_432] = "a description" * 100, "somebody"
    content = outline_tiff(encode(PHOTO, "TIFF", tiffinfo=tags)).content
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    kept = {struct.unpack_from("<H", content, directory + 2 + 12 * index)[0] for index in range(count)}
    assert not kept & {270, 274, 33_432, 34_675}
    assert {256, 257, 258, 259, 262, 273, 279} <= kept


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": 1}, "a camera's raw file"),
        ({"compression": 6}, "compression, 6,"),
        ({"bits": 32}, "more than 16 bits"),
        ({"sample_format": 3}, "with a sign or a fraction"),
        ({"strips": 0}, "damaged"),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(change: dict[str, int], sentence: str) -> None:
    tiff = written(20, 10, change.pop("bits", 8), bytes(800), "<", **change)
    with pytest.raises(UndecodablePictureError, match=sentence):
        PREPROCESSING.decode(tiff)


def test_directory_beyond_the_end_is_damage() -> None:
    with pytest.raises(UndecodablePictureError, match="header"):
        PREPROCESSING.decode(b"II*\0" + struct.pack("<I", 10_000))


def written(
    width: int,
    height: int,
    bits: int,
    rows: bytes,
    order: str = "<",
    *,
    samples: int = 1,
    kind: int = 0,
    compression: int = 1,
    sample_format: int = 1,
    strips: int = 1,
) -> bytes:
    """Write an uncompressed TIFF of one strip."""
    tags = [
        (254, 4, [kind]),
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * samples),
        (259, 3, [compression]),
    ]
    tags += [(262, 3, [2 if samples == 3 else 1]), (273, 4, [8] * strips), (277, 3, [samples]), (278, 4, [height])]
    tags += [(279, 4, [len(rows)] * strips), (339, 3, [sample_format] * samples)]
    start, extra = 8 + len(rows), b""
    after, entries = start + 2 + 12 * len(tags) + 4, b""
    for tag, type_, values in tags:
        packed = struct.pack(f"{order}{len(values)}{'H' if type_ == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, extra = struct.pack(f"{order}I", after + len(extra)), extra + packed
        entries += struct.pack(f"{order}HHI", tag, type_, len(values)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + rows + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + extra
