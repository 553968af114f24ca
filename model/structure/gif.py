"""GIF: a header, extensions in blocks of up to 255 bytes, and frames of which only the first is decoded."""

import struct
from collections.abc import Iterator

from whisker.model.structure.outline import Outline, damaged_header, too_many_parts

_SCREEN = struct.Struct("<6sHHB")
_FRAME = struct.Struct("<HHHHB")
_EXTENSION, _IMAGE, _END, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9
_MAX_BLOCKS = 20_000  # before the first frame: 5 MB of metadata

# Measured from above with Pillow 13 (Zen 5), with files that were made to be slow
_BYTE_NS, _PIXEL_NS = 12, 2


def outline_gif(data: bytes) -> Outline:
    """Outline a GIF. Comments and the like before its first frame are left out."""
    if len(data) < _SCREEN.size:
        raise damaged_header()
    _, width, height, flags = _SCREEN.unpack_from(data)
    screen_end = 13 + _palette_bytes(flags)
    control, start = b"", screen_end
    for label, block, after in _blocks(data, screen_end):
        start = after
        if label == _CONTROL and len(block) >= 4 and block[0] & 1:
            control = b"\x21\xf9\x04" + block[:4] + b"\0"
    if start + 1 + _FRAME.size > len(data):
        raise damaged_header()
    left, top, frame_width, frame_height, _ = _FRAME.unpack_from(data, start + 1)
    pixels = max(width, left + frame_width) * max(height, top + frame_height)
    return Outline(
        "GIF",
        content=b"".join([data[:screen_end], control, memoryview(data)[start:]]),
        nanoseconds=_BYTE_NS * len(data) + _PIXEL_NS * pixels,
    )


def _blocks(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield the first block of each extension with its label, and where the next one starts.

    The last one, without a label, tells where the first frame starts.
    """
    blocks = 0
    while blocks < _MAX_BLOCKS:
        if at + 2 >= len(data):
            raise damaged_header()
        blocks += 1
        if data[at] == _END:
            raise damaged_header()
        if data[at] == _IMAGE:
            yield 0, b"", at
            return
        if data[at] != _EXTENSION:
            at += 1
            continue
        label, first = data[at + 1], at + 2
        at = first
        while blocks < _MAX_BLOCKS and at < len(data) and data[at]:
            at += 1 + data[at]
            blocks += 1
        at += 1
        yield label, data[first + 1 : first + 1 + data[first]], at
    raise too_many_parts(_MAX_BLOCKS)


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
