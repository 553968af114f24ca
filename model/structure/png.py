"""PNG: a sequence of chunks, of which the picture's rows, compressed and filtered, are in consecutive ones."""

import struct
import zlib
from collections.abc import Iterator

from whisker.model.errors import UndecodablePictureError
from whisker.model.structure.numbered_colours import gamma_profile, numbered_profile
from whisker.model.structure.orientation import EXIF, read_orientation
from whisker.model.structure.outline import Outline, damaged_header, too_many_parts

_HEAD = struct.Struct(">I4s")  # a chunk's length and name; its checksum comes last
_IHDR = struct.Struct(">IIBB")
_END = bytes(4) + b"IEND\xae\x42\x60\x82"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_NEEDED = (b"IHDR", b"PLTE", b"tRNS")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP, _PROFILE, _EXIF = b"XML:com.adobe.xmp", b"Raw profile type exif", b"exif"  # keywords
_PROFILE_HEAD_LINES = 3
_GREY = (0, 4)  # colour types
_SRGB_EXPONENT, _SMALL_DIFFERENCE = 1 / 2.2, 0.05
_MIN_EXPONENT, _MAX_EXPONENT = 0.1, 10.0
_FEW_CHUNKS, _CHUNK_BYTES = 1_000, 1_024  # more chunks than the first are no shorter, on average, than the second
_MAX_UNPACKED = 1 << 20  # of all compressed texts and profiles: two milliseconds

# Measured from above with zlib-ng 2.3 and Pillow 13 (Zen 5), with files that were made to be slow
_CHUNK_NS, _BYTE_NS, _ROW_BYTE_NS = 5_000, 10, 5


def outline_png(data: bytes) -> Outline:
    """Outline a PNG. Only its first picture and what that depends on is kept."""
    kept, metadata, count, rows, is_open = [data[:8]], _Metadata(), 0, 0, True
    for name, start, end in _chunks(data):
        if name == b"IDAT":
            if is_open:
                kept.append(_repaired(data, start, end))
                count += 1
        elif name == b"IEND":
            break
        else:
            is_open = is_open and count == 0
            if name in _NEEDED and count == 0:
                kept.append(data[start - 8 : end + 4])
            rows = rows or (_row_bytes(data[start:end]) if name == b"IHDR" else 0)
            metadata.take(name, data[start:end])
    if not count:
        raise damaged_header()
    return Outline(
        "PNG",
        content=b"".join([*kept, _END]),
        nanoseconds=_CHUNK_NS * count + _BYTE_NS * len(data) + _ROW_BYTE_NS * rows,
        orientation=metadata.orientation,
        profile=metadata.profile,
    )


class _Metadata:
    """What a picture's chunks say about its orientation and colours; the last chunk of each kind counts."""

    def __init__(self) -> None:
        self._unpacked = 0
        self._found: dict[bytes, bytes] = {}

    def take(self, name: bytes, content: bytes) -> None:
        """Take note of a chunk; raise `UndecodablePictureError` if texts and profiles are too long when unpacked."""
        if name == b"eXIf":
            self._found[_EXIF] = EXIF + content
        elif name == b"iCCP":
            self._found[name] = self._unpack(content.partition(b"\0")[2][1:])
        elif name in (b"IHDR", b"cICP", b"sRGB", b"gAMA"):
            self._found[name] = content
        elif name in _TEXTS:
            keyword, _, rest = content.partition(b"\0")
            text = self._text(name, rest)
            if keyword in (_XMP, _PROFILE, _EXIF):
                self._found[keyword] = text

    @property
    def orientation(self) -> int:
        if not {_EXIF, _XMP, _PROFILE} & self._found.keys():
            return 1
        exif = self._found.get(_EXIF)
        if exif is None:
            exif = _read_profile(self._found.get(_PROFILE, b""))
        return read_orientation(exif, self._found.get(_XMP, b""))

    @property
    def profile(self) -> bytes:
        """Give the profile of the picture's colours, by the first of the chunks that counts; empty for sRGB's."""
        found = self._found
        if found.get(b"cICP"):
            return numbered_profile(found[b"cICP"][0])
        if found.get(b"iCCP") or b"sRGB" in found or b"gAMA" not in found:
            return found.get(b"iCCP", b"")
        exponent = int.from_bytes(found[b"gAMA"][:4]) / 100_000  # of what was seen to what is stored
        if not _MIN_EXPONENT < exponent < _MAX_EXPONENT or abs(exponent / _SRGB_EXPONENT - 1) < _SMALL_DIFFERENCE:
            return b""
        return gamma_profile(1 / exponent, is_grey=found[b"IHDR"][9] in _GREY)

    def _text(self, name: bytes, rest: bytes) -> bytes:
        if name == b"tEXt":
            return rest
        if name == b"zTXt":
            return self._unpack(rest[1:])
        *_, text = rest[2:].split(b"\0", 2)  # language, translated keyword, text
        return self._unpack(text) if rest[:1] != b"\0" else text

    def _unpack(self, packed: bytes) -> bytes:
        try:
            text = zlib.decompressobj().decompress(packed, _MAX_UNPACKED - self._unpacked + 1)
        except zlib.error:
            return b""
        self._unpacked += len(text)
        if self._unpacked > _MAX_UNPACKED:
            raise UndecodablePictureError(f"The picture's texts and profiles take more than {_MAX_UNPACKED:,} bytes.")
        return text


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, and where its content starts and ends; the last may be cut short."""
    at, most = 8, _FEW_CHUNKS + len(data) // _CHUNK_BYTES
    for _ in range(most):
        if at + _HEAD.size > len(data):
            return
        length, name = _HEAD.unpack_from(data, at)
        yield name, at + 8, min(at + 8 + length, len(data))
        at += length + 12
    raise too_many_parts(most)


def _repaired(data: bytes, start: int, end: int) -> bytes:
    """Return a chunk of the picture; the last one, if it is cut off, as long as it is: rows may be complete."""
    is_whole = end + 4 <= len(data)
    return data[start - 8 : end + 4] if is_whole else _HEAD.pack(end - start, b"IDAT") + data[start:end] + bytes(4)


def _row_bytes(header: bytes) -> int:
    """Count the bytes of all rows."""
    if len(header) < _IHDR.size:
        raise damaged_header()
    width, height, depth, colour = _IHDR.unpack_from(header)
    row_bytes: int = 1 + (width * depth * _CHANNELS.get(colour, 4) + 7) // 8
    return row_bytes * int(height)


def _read_profile(text: bytes) -> bytes:
    """Read EXIF as ImageMagick writes it: some lines, and then hexadecimal digits."""
    lines = text.split(b"\n")[_PROFILE_HEAD_LINES:]
    try:
        return bytes.fromhex(b"".join(lines).decode("ascii"))
    except ValueError:
        return b""
