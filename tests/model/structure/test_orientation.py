"""The orientation is the one that Pillow finds, whatever the EXIF."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from whisker.model.structure.orientation import EXIF, read_orientation

_ENTRY = st.tuples(
    st.sampled_from([0x0112, 0x0112, 0x010F, 0x8769]), st.integers(0, 17), st.integers(0, 3), st.integers(0, 60)
)
_SMALL = st.tuples(st.just(0x0112), st.sampled_from([1, 3, 4, 6, 8, 9, 13]), st.just(1), st.integers(0, 9))


def pillows(exif: bytes) -> int:
    """Read the orientation as preprocessing did with Pillow."""
    image = Image.new("L", (1, 1))
    image.info["exif"] = exif
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - anything can be in there
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@given(
    order=st.sampled_from(["<", ">"]),
    prefix=st.sampled_from([b"", EXIF, EXIF * 2, EXIF * 3, b"x"]),
    entries=st.lists(st.one_of(_ENTRY, _SMALL), max_size=4),
    claimed=st.integers(0, 5),
    cut=st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_orientation_is_pillows(
    order: str, prefix: bytes, entries: list[tuple[int, int, int, int]], claimed: int, cut: int
) -> None:
    head = (b"II\x2a\0" if order == "<" else b"MM\0\x2a") + struct.pack(f"{order}L", 8)
    packed = b"".join([struct.pack(f"{order}HHLL", *entry) for entry in entries])
    directory = struct.pack(f"{order}H", claimed) + packed + bytes(4)
    exif = prefix + head + directory[: max(0, len(directory) - cut)]
    assert read_orientation(exif) == pillows(exif)


@pytest.mark.parametrize("xmp", [b'<x tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"])
def test_xmp_tells_what_exif_does_not(xmp: bytes) -> None:
    exif = Image.Exif()
    assert read_orientation(b"", xmp) == 6
    exif[ExifTags.Base.Make] = "Camera"
    assert read_orientation(exif.tobytes(), xmp) == 6
    exif[ExifTags.Base.Orientation] = 3
    assert read_orientation(exif.tobytes(), xmp) == 3
