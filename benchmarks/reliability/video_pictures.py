"""HEIC and AVIF files, put together by hand from one frame: nothing that may be distributed here encodes HEVC."""

import struct
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks.reliability.pictures import encode
from whisker.model.structure.boxes import Item, read_items

_FILES = Path(__file__).parent / "files"
_FLAT = bytes(4)  # a box's version and flags


def heic(name: str = "rings") -> bytes:
    """Read a small HEIC file: `rings`, `turned`, or `tile`."""
    return (_FILES / f"{name}.heic").read_bytes()


def heic_grid(size: tuple[int, int], across: int, down: int, *, tiles: int | None = None) -> bytes:
    """Write a HEIC whose picture is a grid of one tile of 128 x 128 pixels, again and again, as phones write them."""
    tile, data = _frame(heic("tile"))
    count = across * down if tiles is None else tiles
    grid = bytes([0, 1, down - 1, across - 1]) + struct.pack(">II", *size)
    items = _box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 1, 0, b"grid") + b"\0")
    items += b"".join(
        _box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 2 + it, 0, b"hvc1") + b"\0") for it in range(count)
    )
    properties = _box(b"hvcC", tile.property(b"hvcC")) + _ispe(128, 128) + _ispe(*size)
    shown = struct.pack(">HBB", 1, 1, 3) + b"".join(struct.pack(">HBBB", 2 + it, 2, 0x81, 2) for it in range(count))
    numbers = b"".join(struct.pack(">H", 2 + it) for it in range(count))
    references = _box(b"iref", _FLAT + _box(b"dimg", struct.pack(">HH", 1, count) + numbers))
    parts = [
        _box(b"hdlr", _FLAT + bytes(4) + b"pict" + bytes(13)),
        _box(b"pitm", _FLAT + struct.pack(">H", 1)),
        _box(b"iinf", _FLAT + struct.pack(">H", 1 + count) + items),
        references,
        _box(b"iprp", _box(b"ipco", properties) + _box(b"ipma", _FLAT + struct.pack(">I", 1 + count) + shown)),
        _box(b"idat", grid),
    ]
    return _with_places(parts, [(1, 0, len(grid))] + [(0, 0, len(data))] * count, data)


def resized(picture: bytes, width: int, height: int) -> bytes:
    """Let a HEIC or AVIF announce another size than its frame has."""
    at = picture.index(b"ispe") + 8
    return picture[:at] + struct.pack(">II", width, height) + picture[at + 8 :]


def avif(image: Image.Image) -> bytes:
    """Encode a picture as AVIF, quickly."""
    return encode(image, "AVIF", quality=70, speed=10)


def _frame(picture: bytes) -> tuple[Item, bytes]:
    items = read_items(picture)
    item = items.by_number[items.primary]
    (offset, length), *_ = item.extents
    return item, picture[offset : offset + length]


def _with_places(parts: Sequence[bytes], places: Sequence[tuple[int, int, int]], data: bytes) -> bytes:
    """Write a file of such boxes; `places` are how each item's bytes are found, their offset in `data`, and length."""
    head = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    place_bytes = 8 + 8 + len(places) * 16
    start = len(head) + 12 + sum(map(len, parts)) + place_bytes + 8
    entries = b"".join(
        struct.pack(">HHHHII", 1 + index, method, 0, 1, offset + (0 if method else start), length)
        for index, (method, offset, length) in enumerate(places)
    )
    iloc = _box(b"iloc", b"\1\0\0\0" + struct.pack(">HH", 0x4400, len(places)) + entries)
    return head + _box(b"meta", _FLAT + b"".join(parts) + iloc) + _box(b"mdat", data)


def _ispe(width: int, height: int) -> bytes:
    return _box(b"ispe", _FLAT + struct.pack(">II", width, height))


def _box(name: bytes, content: bytes | memoryview) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content
