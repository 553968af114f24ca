"""BMP: a header and rows; run-length coded ones are decoded in Python."""

import struct

from whisker.model.structure.outline import MAX_UNUSUAL_NS, Outline, damaged_header, too_much_work

_HEADER = struct.Struct("<IiiHHI")  # its size, width, height, planes, bits a pixel, compression
_HEADER_AT, _COLOURS_AT = 14, 46
_SHORT_HEADER = 12  # bytes of a header without compression
_RUN_LENGTHS = (1, 2)  # kinds of compression
_MAX_COLOURS = 256

# Measured from above with Pillow 13 (Zen 5), with files that were made to be slow
_BYTE_NS, _RUN_BYTE_NS, _RUN_PIXEL_NS = 3, 300, 130


def outline_bmp(data: bytes) -> Outline:
    """Outline a BMP."""
    if len(data) < _COLOURS_AT + 4:
        return Outline("BMP", data, 0)  # as short as that, it is damaged or one pixel
    size, width, height, _, bits, compression = _HEADER.unpack_from(data, _HEADER_AT)
    if size == _SHORT_HEADER:
        return Outline("BMP", data, _BYTE_NS * len(data))
    if bits <= 8 and int.from_bytes(data[_COLOURS_AT : _COLOURS_AT + 4], "little") > _MAX_COLOURS:
        raise damaged_header()
    if compression not in _RUN_LENGTHS:
        return Outline("BMP", data, _BYTE_NS * len(data))
    nanoseconds = _RUN_BYTE_NS * len(data) + _RUN_PIXEL_NS * abs(width) * abs(height)
    if nanoseconds > MAX_UNUSUAL_NS:
        raise too_much_work()
    return Outline("BMP", data, nanoseconds)
