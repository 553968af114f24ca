"""ISO base media files (ISO/IEC 14496-12): boxes in boxes, and the items that they describe (ISO/IEC 23008-12)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from whisker.model.structure.outline import damaged_header, too_many_parts

MAX_ITEMS = 1_000  # pictures, their tiles and metadata; a photo of 48 megapixels has 200
_MAX_BOXES = 10_000
_HEAD = struct.Struct(">I4s")
_LARGE = struct.Struct(">Q")

Box = tuple[bytes, memoryview]  # its type and content


@dataclass(slots=True)
class Item:
    """A picture, a tile of one, or metadata: its type, its properties, and where its bytes are.

    `extents` are offsets and lengths in the file, or in the box `idat` if `is_inside`.
    """

    kind: bytes = b""
    properties: list[Box] = field(default_factory=list)
    extents: list[tuple[int, int]] = field(default_factory=list)
    is_inside: bool = False
    references: dict[bytes, list[int]] = field(default_factory=dict)  # to other items, by their kind

    @property
    def size(self) -> tuple[int, int]:
        """Give the width and height; raise `UndecodablePictureError` if there is none."""
        for name, content in self.properties:
            if name == b"ispe" and len(content) >= 12:
                return int.from_bytes(content[4:8]), int.from_bytes(content[8:12])
        raise damaged_header()

    def property(self, kind: bytes) -> memoryview:
        """Give the content of the first property of a kind, empty if there is none."""
        return next((content for name, content in self.properties if name == kind), memoryview(b""))


@dataclass(frozen=True, slots=True)
class Items:
    """All items of a file, by their numbers; `primary` is the number of the one to show."""

    primary: int
    by_number: dict[int, Item]
    inside: memoryview  # what the box `idat` holds


def read_items(data: bytes) -> Items:
    """Read the box that describes a file's items; raise `UndecodablePictureError`."""
    try:
        for name, content in _boxes(memoryview(data)):
            if name == b"meta":
                return _read_meta(content[4:])
    except (struct.error, IndexError) as exc:
        raise damaged_header() from exc
    raise damaged_header()


def _boxes(data: memoryview) -> Iterator[Box]:
    at = 0
    for _ in range(_MAX_BOXES):
        if at + _HEAD.size > len(data):
            return
        length, name = _HEAD.unpack_from(data, at)
        head = _HEAD.size
        if length == 1:
            (length,) = _LARGE.unpack_from(data, at + head)
            head += _LARGE.size
        elif length == 0:
            length = len(data) - at
        if length < head:
            raise damaged_header()
        yield name, data[at + head : at + length]
        at += length
    raise too_many_parts(_MAX_BOXES)


def _read_meta(content: memoryview) -> Items:
    boxes: dict[bytes, memoryview] = {}
    for name, inside in _boxes(content):
        boxes.setdefault(name, inside)
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= set(boxes):
        raise damaged_header()
    items = _read_kinds(_Reader(boxes[b"iinf"]))
    _read_places(_Reader(boxes[b"iloc"]), items)
    _read_properties(boxes[b"iprp"], items)
    if b"iref" in boxes:
        _read_references(boxes[b"iref"], items)
    primary = _Reader(boxes[b"pitm"])
    return Items(primary.number(4 if primary.version else 2), items, boxes.get(b"idat", memoryview(b"")))


class _Reader:
    """Big-endian numbers, one after the other, after a box's version and flags."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 4
        self.version, self.flags = data[0], int.from_bytes(data[1:4])

    def number(self, size: int) -> int:
        """Read a number of so many bytes; raise `IndexError` at the end."""
        if self._at + size > len(self._data):
            raise IndexError
        number = int.from_bytes(self._data[self._at : self._at + size])
        self._at += size
        return number

    @property
    def rest(self) -> memoryview:
        return self._data[self._at :]


def _read_kinds(reader: _Reader) -> dict[int, Item]:
    count = reader.number(4 if reader.version else 2)
    if count > MAX_ITEMS:
        raise too_many_parts(MAX_ITEMS)
    items: dict[int, Item] = {}
    for name, content in _boxes(reader.rest):
        entry = _Reader(content)
        if name == b"infe" and entry.version >= 2 and len(items) < MAX_ITEMS:
            number = entry.number(4 if entry.version > 2 else 2)
            entry.number(2)  # how it is protected
            items[number] = Item(entry.number(4).to_bytes(4))
    return items


def _read_places(reader: _Reader, items: dict[int, Item]) -> None:
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if reader.version else 0
    wide = reader.version == 2
    extents = 0
    for _ in range(min(MAX_ITEMS, reader.number(4 if wide else 2))):
        item = items.get(reader.number(4 if wide else 2), Item())
        item.is_inside = reader.version > 0 and reader.number(2) & 15 == 1
        reader.number(2)  # which file
        base, count = reader.number(base_size), reader.number(2)
        extents += count
        if extents > 2 * MAX_ITEMS:
            raise too_many_parts(2 * MAX_ITEMS)
        for _ in range(count):
            reader.number(index_size)
            offset = base + reader.number(offset_size)
            item.extents.append((offset, reader.number(length_size)))


def _read_properties(content: memoryview, items: dict[int, Item]) -> None:
    properties, associations = list[Box](), list[memoryview]()
    for name, inside in _boxes(content):
        if name == b"ipco":
            properties += _boxes(inside)
        elif name == b"ipma":
            associations.append(inside)
    for reader in map(_Reader, associations):
        for _ in range(min(MAX_ITEMS, reader.number(4))):
            item = items.get(reader.number(4 if reader.version else 2), Item())
            for _ in range(reader.number(1)):
                index = reader.number(2) & 0x7FFF if reader.flags & 1 else reader.number(1) & 0x7F
                if 0 < index <= len(properties):
                    item.properties.append(properties[index - 1])


def _read_references(content: memoryview, items: dict[int, Item]) -> None:
    size, count = 4 if content[0] else 2, 0
    for name, inside in _boxes(content[4:]):
        count += len(inside) // size
        if count > 4 * MAX_ITEMS:
            raise too_many_parts(4 * MAX_ITEMS)
        targets = [int.from_bytes(inside[at : at + size]) for at in range(size + 2, len(inside), size)]
        items.get(int.from_bytes(inside[:size]), Item()).references.setdefault(name, []).extend(targets)
