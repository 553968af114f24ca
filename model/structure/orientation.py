"""A picture's orientation, from EXIF or XMP.

Pillow would read every tag to find this one. The answers are the same: tests compare them.
"""

import re
import struct
from typing import Literal

UPRIGHT = 1
EXIF = b"Exif\0\0"  # what EXIF begins with in a JPEG
_TAG = 0x0112
_ENTRY_BYTES = 12
_PREFIX = re.compile(rb"(?:Exif\0\0){0,2}")
_BYTE_ORDERS: dict[bytes, Literal["big", "little"]] = {  # the middle two and the last are wrong, but Pillow reads them
    b"II\x2a\x00": "little",
    b"II\x00\x2a": "little",
    b"MM\x2a\x00": "big",
    b"MM\x00\x2a": "big",
    b"MM\x00\x2b": "big",
}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes, by type
_UNSIGNED, _SIGNED = (3, 4, 13, 16), (6, 8, 9)  # types of whole numbers
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Read the orientation, 1 (upright) to 8, from EXIF or, where that has none, from XMP.

    Damaged EXIF counts as upright, as the photo may be fine.
    """
    value: int | None = None
    if tags := exif[_start(exif) :]:
        try:
            value = _read_tag(tags)
        except (KeyError, struct.error, IndexError):
            return UPRIGHT
    if value is None and (match := _XMP.search(xmp)):
        value = int(match[1])
    return value if value is not None and 1 <= value <= 8 else UPRIGHT


def _start(exif: bytes) -> int:
    match = _PREFIX.match(exif)
    return 0 if match is None else match.end()


def _read_tag(tags: bytes) -> int | None:
    """Find the tag in the first directory; `None` if it is not there, 0 if it holds no whole number.

    As for Pillow, a directory ends with a value that would lie beyond the end, and values that are longer than all the
    data, taken together, are passed over.
    """
    order = _BYTE_ORDERS[tags[:4]]
    sign = ">" if order == "big" else "<"
    (directory,) = struct.unpack_from(f"{sign}L", tags, 4)
    start, count = directory + 2, int.from_bytes(tags[directory : directory + 2], order)
    whole = min(count, max(0, len(tags) - start) // _ENTRY_BYTES)
    seen, total = set[int](), 0
    for tag, kind, number, value in struct.iter_unpack(f"{sign}HHL4s", tags[start : start + _ENTRY_BYTES * whole]):
        size = _SIZES.get(kind, 0) * number
        if size == 0 or tag in seen:
            continue
        place = 0
        if size > len(value):
            total += size
            if total > len(tags):
                continue
            place = int.from_bytes(value, order)
            if place + size > len(tags):
                return None
        if tag == _TAG:
            return _first_number((tags if size > len(value) else value)[place : place + _SIZES[kind]], kind, order)
        seen.add(tag)
    return None


def _first_number(value: bytes, kind: int, order: Literal["big", "little"]) -> int:
    return int.from_bytes(value, order, signed=kind in _SIGNED) if kind in _UNSIGNED + _SIGNED else 0
