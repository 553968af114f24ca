"""JPEGs without their end, or with more behind it: rows that are missing are missed, and nothing else."""

import pytest
from PIL import Image

from tests.pictures import draw, encode
from whisker.model.errors import UndecodablePictureError
from whisker.model.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(size=64)
END = b"\xff\xd9"
PHOTO = encode(draw("rings", 0, (640, 480)), "JPEG", quality=90)
PROGRESSIVE = encode(draw("rings", 0, (640, 480)), "JPEG", quality=90, progressive=True)
GREY = encode(draw("rings", 0, (640, 480)).convert("L"), "JPEG", restart_marker_rows=1)
SIZES = (16, 64, 400)  # decoded at different scales


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("jpeg", [PHOTO, PROGRESSIVE, GREY])
def test_missing_end_and_anything_behind_it_change_no_pixel(jpeg: bytes, size: int) -> None:
    preprocessing = Preprocessing(size)
    whole = preprocessing.decode(jpeg)
    assert jpeg.endswith(END)
    for variant in (jpeg[:-2], jpeg[:-1], jpeg + b"\0\0\0\x18ftypmp42" * 1_000, jpeg + PHOTO, jpeg[:-2] + bytes(500)):
        assert (preprocessing.decode(variant) == whole).all()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("end", [b"", END, END + b"more"])
@pytest.mark.parametrize("jpeg", [PHOTO, GREY])
def test_missing_rows_are_missed_whether_or_not_there_is_an_end(jpeg: bytes, end: bytes, share: float) -> None:
    start = jpeg.index(b"\xff\xda") + 14
    cut = start + int(share * (len(jpeg) - start))
    with pytest.raises(UndecodablePictureError):
        PREPROCESSING.decode(jpeg[:cut].rstrip(b"\xff") + end)


@pytest.mark.parametrize("end", [b"", END])
def test_progressive_jpeg_needs_its_first_scan_and_no_more(end: bytes) -> None:
    starts = [at for at in range(len(PROGRESSIVE)) if PROGRESSIVE.startswith(b"\xff\xda", at)]
    assert PREPROCESSING.decode(PROGRESSIVE[: starts[3]] + end).shape == (64, 64, 3)
    with pytest.raises(UndecodablePictureError, match="incomplete"):
        PREPROCESSING.decode(PROGRESSIVE[: starts[1] - 100] + end)


def test_photo_of_108_megapixels_is_taken_since_it_is_decoded_at_a_smaller_scale() -> None:
    picture = PREPROCESSING.read(encode(Image.new("L", (12_000, 9_000), 90), "JPEG", quality=30))
    assert (picture.width, picture.height) == (12_000, 9_000)
    assert abs(int(picture.pixels.mean()) - 90) <= 1
