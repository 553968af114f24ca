"""TIFF: a directory of tags for each page, of which the first is decoded (TIFF 6.0; BigTIFF has longer numbers)."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from whisker.model.errors import UndecodablePictureError
from whisker.model.structure.outline import (
    MAX_PROFILE_BYTES,
    MAX_UNUSUAL_NS,
    Outline,
    damaged_header,
    too_many_parts,
    too_much_work,
)

_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _SAMPLES = 254, 256, 257, 258, 259, 274, 277
_SAMPLE_FORMAT = 339
_STRIPS, _STRIP_ROWS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 273, 278, 279, 322, 323, 324, 325
_PROFILE = 34675
# What pixels depend on: besides these, photometry, order of bits, planes, predictor, palette, inks, and JPEG's tables
_NEEDED = frozenset(
    (
        *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _SAMPLE_FORMAT, _STRIPS, _STRIP_ROWS, _STRIP_BYTES),
        *(_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, 262, 266, 284, 317, 320, 332, 338, 347, 530, 532),
    )
)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8}  # bytes, by type; no other type is needed
_FAX, _JPEG = (2, 3, 4), 7
_COMPRESSIONS = frozenset([1, *_FAX, 5, _JPEG, 8, 32773, 32946, 50000])  # none, LZW, deflate, PackBits, Zstandard
_UNSIGNED = 1
_MAX_BITS = 16  # of a sample
_MAX_TAGS = 1_000
_MAX_PARTS = 30_000  # strips or tiles
_SCAN, _ARITHMETIC = b"\xff\xda", re.compile(rb"\xff[\xc9-\xcb\xcd-\xcf]")

# Measured from above with libtiff 4.7 and Pillow 13 (Zen 5)
_BYTE_NS, _SAMPLE_NS, _FAX_SAMPLE_NS, _PART_NS = 8, 4, 10, 10_000
_SCAN_BLOCK_NS, _ARITHMETIC_BLOCK_NS = 200, 1_500
_BLOCK_PIXELS = 64


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file's numbers are written: their order, an entry's parts, and the size of counts and offsets."""

    order: Literal["little", "big"]
    entry: struct.Struct
    count_size: int
    offset_size: int

    @property
    def head(self) -> int:
        """Give the place of the first directory's offset."""
        return self.offset_size


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag as it is written, and its value's bytes."""

    entry: bytes
    kind: int
    value: bytes


def outline_tiff(data: bytes) -> Outline:
    """Outline a TIFF. Only the first page, and the tags that its pixels depend on, are kept."""
    layout = _layout(data)
    tags = _read_tags(data, layout)
    page = _Page(tags, layout)
    page.check()
    profile = tags[_PROFILE].value if _PROFILE in tags else b""
    return Outline(
        "TIFF",
        content=_with_directory(data, layout, tags),
        nanoseconds=page.nanoseconds(data),
        orientation=page.number(_ORIENTATION, 1) if 1 <= page.number(_ORIENTATION, 1) <= 8 else 1,
        profile=profile if len(profile) <= MAX_PROFILE_BYTES else b"",
    )


class _Page:
    """What a page's tags say."""

    def __init__(self, tags: Mapping[int, _Tag], layout: _Layout) -> None:
        self._tags = tags
        self._order = layout.order

    def numbers(self, tag: int) -> list[int]:
        """List the numbers of a tag's value, none if it is missing."""
        if tag not in self._tags:
            return []
        value, size = self._tags[tag].value, _SIZES[self._tags[tag].kind]
        return [int.from_bytes(value[at : at + size], self._order) for at in range(0, len(value), size)]

    def number(self, tag: int, default: int) -> int:
        return next(iter(self.numbers(tag)), default)

    def check(self) -> None:
        """Raise `UndecodablePictureError` for samples and compressions that are not read, and for raw files."""
        if self.number(_KIND, 0) & 1:
            raise UndecodablePictureError("The TIFF begins with a preview, as a camera's raw file does: convert it.")
        if max(self.numbers(_BITS), default=1) > _MAX_BITS or set(self.numbers(_SAMPLE_FORMAT)) - {_UNSIGNED}:
            raise UndecodablePictureError("The TIFF has samples of more than 16 bits, or with a sign or a fraction.")
        if self.number(_COMPRESSION, 1) not in _COMPRESSIONS:
            raise UndecodablePictureError(f"The TIFF's compression, {self.number(_COMPRESSION, 1)}, is not supported.")
        parts = max(len(self.numbers(_STRIPS)), len(self.numbers(_TILES)))
        if parts > _MAX_PARTS:
            raise too_many_parts(_MAX_PARTS)
        if not parts:
            raise damaged_header()

    def nanoseconds(self, data: bytes) -> int:
        """Estimate the time for decoding, without what every pixel that comes out costs."""
        width, height = self.number(_WIDTH, 0), self.number(_HEIGHT, 0)
        across, down = self.number(_TILE_WIDTH, width), self.number(_TILE_HEIGHT, self.number(_STRIP_ROWS, height))
        parts = max(len(self.numbers(_STRIPS)), len(self.numbers(_TILES)))
        samples = min(across, 2 * width + 4_096) * min(down, 2 * height + 4_096) * parts * self.number(_SAMPLES, 1)
        sample_ns = _FAX_SAMPLE_NS if self.number(_COMPRESSION, 1) in _FAX else _SAMPLE_NS
        nanoseconds = _PART_NS * parts + sample_ns * samples
        lengths = sum(min(length, len(data)) for length in self.numbers(_STRIP_BYTES) + self.numbers(_TILE_BYTES))
        nanoseconds += _BYTE_NS * lengths
        if self.number(_COMPRESSION, 1) == _JPEG:
            nanoseconds += _scans_nanoseconds(data, samples // parts, parts)
        if nanoseconds > 8 * MAX_UNUSUAL_NS:
            raise too_much_work()
        return nanoseconds


def _scans_nanoseconds(data: bytes, samples: int, parts: int) -> int:
    """Estimate the time for the JPEGs in a file: scans, each of which may go through all of a part's samples."""
    block_ns = _ARITHMETIC_BLOCK_NS if _ARITHMETIC.search(data) else _SCAN_BLOCK_NS
    nanoseconds = max(parts, data.count(_SCAN)) * block_ns * (samples // _BLOCK_PIXELS + 1)
    if nanoseconds > 4 * MAX_UNUSUAL_NS:
        raise too_much_work()
    return nanoseconds


def _layout(data: bytes) -> _Layout:
    order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
    sign = "<" if order == "little" else ">"
    if int.from_bytes(data[2:4], order) == 43:
        return _Layout(order, struct.Struct(f"{sign}HHQ8s"), 8, 8)
    return _Layout(order, struct.Struct(f"{sign}HHI4s"), 2, 4)


def _read_tags(data: bytes, layout: _Layout) -> dict[int, _Tag]:
    start = int.from_bytes(data[layout.head : layout.head + layout.offset_size], layout.order)
    count = int.from_bytes(data[start : start + layout.count_size], layout.order)
    start += layout.count_size
    if count > _MAX_TAGS:
        raise too_many_parts(_MAX_TAGS)
    if start + count * layout.entry.size > len(data):
        raise damaged_header()
    tags: dict[int, _Tag] = {}
    for at in range(start, start + count * layout.entry.size, layout.entry.size):
        tag, kind, number, place = layout.entry.unpack_from(data, at)
        if tag not in _NEEDED | {_KIND, _ORIENTATION, _PROFILE} or tag in tags:
            continue
        size = _SIZES.get(kind, 0) * number
        if size > len(place):
            offset = int.from_bytes(place, layout.order)
            place = data[offset : offset + size] if offset + size <= len(data) else b""
        if not size or len(place) < size:
            raise damaged_header()
        tags[tag] = _Tag(data[at : at + layout.entry.size], kind, place[:size])
    return tags


def _with_directory(data: bytes, layout: _Layout, tags: Mapping[int, _Tag]) -> bytes:
    """Put a directory of the needed tags, and no other page, at the end; offsets in the file stay as they are."""
    entries = [tags[tag].entry for tag in sorted(_NEEDED & tags.keys())]
    directory = [len(entries).to_bytes(layout.count_size, layout.order), *entries, bytes(layout.offset_size)]
    padding = bytes(len(data) % 2)  # directories begin at even offsets
    offset = (len(data) + len(padding)).to_bytes(layout.offset_size, layout.order)
    return b"".join([data[: layout.head], offset, data[layout.head + layout.offset_size :], padding, *directory])
