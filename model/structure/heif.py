"""HEIF and AVIF: pictures as items, each a frame of video, or a grid of such (ISO/IEC 23008-12)."""

from collections.abc import Sequence

from whisker.model.errors import PictureTooLargeError, UndecodablePictureError
from whisker.model.structure import av1, hevc
from whisker.model.structure.boxes import Item, Items, read_items
from whisker.model.structure.numbered_colours import numbered_profile
from whisker.model.structure.outline import MAX_PROFILE_BYTES, Format, Outline, damaged_header, too_much_work

_CODECS: dict[bytes, Format] = {b"hvc1": "HEIF", b"av01": "AVIF"}
_GRID, _TILES, _AUXILIARY = b"grid", b"dimg", b"auxl"
_HIGH_RANGE = (16, 18)  # transfer characteristics of pictures brighter than white, which are taken as they are
_MARGIN = 128  # pixels, by which a coded side may be longer than the picture's: whole blocks are coded

# Measured from above with libheif 1.23 and libavif 1.4 (Zen 5)
_PIXEL_NS: dict[Format, int] = {"HEIF": 22, "AVIF": 12}
_BYTE_NS: dict[Format, int] = {"HEIF": 150, "AVIF": 80}
_ITEM_NS = 200_000
_MAX_PIXELS = 1 << 28  # beyond which a decoder says that the header is damaged


def outline_heif(data: bytes) -> Outline:
    """Outline a file whose primary item is a picture in HEVC or AV1."""
    items = read_items(data)
    primary = _picture(items, items.primary)
    tiles = [_picture(items, number) for number in primary.references.get(_TILES, [])] if primary.kind == _GRID else []
    decoded = (tiles or [primary]) + _auxiliary(items)
    format_ = _CODECS.get(decoded[0].kind)
    if format_ is None:
        raise UndecodablePictureError("The file's picture is neither in HEVC nor in AV1, or there is none.")
    _check_canvas(primary, tiles)
    nanoseconds = _ITEM_NS * len(items.by_number)
    for item in decoded:
        content = b"".join([data[offset : offset + (length or len(data))] for offset, length in item.extents])
        width, height = _check_size(item, format_, content)
        nanoseconds += _PIXEL_NS[format_] * width * height + _BYTE_NS[format_] * len(content)
    orientation = None if format_ == "AVIF" else 1  # libheif turns a picture itself
    return Outline(format_, data, nanoseconds, orientation, profile=_profile(primary) or _profile(decoded[0]))


def _picture(items: Items, number: int) -> Item:
    if number not in items.by_number:
        raise damaged_header()
    return items.by_number[number]


def _auxiliary(items: Items) -> list[Item]:
    """List what belongs to other pictures, such as their transparency, whether or not it is decoded."""
    return [it for it in items.by_number.values() if _AUXILIARY in it.references and it.kind in _CODECS]


def _profile(item: Item) -> bytes:
    """Return the profile of an item's colours: the first, or one of the primaries that it names by a number."""
    for name, content in item.properties:
        if name == b"colr" and bytes(content[:4]) in (b"prof", b"rICC"):
            return bytes(content[4:]) if len(content) <= MAX_PROFILE_BYTES else b""
    numbered = bytes(item.property(b"colr"))
    is_numbered = numbered[:4] == b"nclx" and int.from_bytes(numbered[6:8]) not in _HIGH_RANGE
    return numbered_profile(int.from_bytes(numbered[4:6])) if is_numbered else b""


def _check_size(item: Item, format_: Format, content: bytes) -> tuple[int, int]:
    """Return an item's size; raise `PictureTooLargeError` if its decoder would make a much larger picture."""
    if _CODECS.get(item.kind) != format_ or item.is_inside:
        raise damaged_header()
    width, height = item.size
    try:
        sizes = _sequence_sizes(item, content)
    except IndexError as exc:
        raise damaged_header() from exc
    if any(coded[0] > width + _MARGIN or coded[1] > height + _MARGIN for coded in sizes):
        raise too_much_work()
    return width, height


def _sequence_sizes(item: Item, content: bytes) -> Sequence[tuple[int, int]]:
    if item.kind == b"av01":
        return av1.sequence_sizes(content)
    configuration = bytes(item.property(b"hvcC"))
    if hevc.holds_sets(content, configuration):
        raise IndexError
    return hevc.sequence_sizes(configuration)


def _check_canvas(primary: Item, tiles: Sequence[Item]) -> None:
    """Refuse a grid of more than its tiles can fill, and many more tiles than it can show."""
    width, height = primary.size
    if width * height > _MAX_PIXELS:
        raise PictureTooLargeError(f"The picture has {width} x {height} pixels, far more than are accepted.")
    area = sum(tile.size[0] * tile.size[1] for tile in tiles)
    if primary.kind == _GRID and not width * height <= area <= 2 * width * height + (1 << 20):
        raise damaged_header()
