"""JPEG: a header of segments, then scans, each of which goes through all blocks of the components that it names.

ITU-T T.81, annex B.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from whisker.model.structure.orientation import EXIF, read_orientation
from whisker.model.structure.outline import (
    MAX_PROFILE_BYTES,
    MAX_UNUSUAL_NS,
    Outline,
    damaged_header,
    incomplete,
    too_many_parts,
    too_much_work,
)

_SEGMENT = struct.Struct(">HH")  # a marker, and the length of what follows
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_AFTER_DATA = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # restart markers belong to a scan's data
_SCAN, _END = 0xDA, 0xD9
_BARE = frozenset([0x01, *range(0xD0, 0xDA)])  # markers without a segment
_TABLES = frozenset([*range(0xC0, 0xD0), *range(0xDB, 0xE0)])
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_USUAL = (0xC0, 0xC1, 0xC2)  # Huffman codes, sequential or progressive
_PROGRESSIVE, _ARITHMETIC, _LOSSLESS = (0xC2, 0xC6, 0xCA, 0xCE), range(0xC9, 0xD0), (0xC3, 0xC7, 0xCB, 0xCF)
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PROFILE = b"ICC_PROFILE\0"  # then this part's number and how many there are, a byte each
_EOI = b"\xff\xd9"
_JFIF_BYTES, _ADOBE_BYTES = 16, 14  # of these segments, up to where nothing more is read
_MAX_SEGMENTS = 1_000  # before the first scan: 64 MB of metadata
_MAX_FILL_BYTES = 4_096  # between two of them
_LONG, _FILL = 200_000, b"\xff" * 16_384  # Pillow would read such a run from its start again for every 64 KB of it
_MAX_MARKERS = 1_000  # after that: ordinary files have fewer than 50
_MAX_TABLE_BYTES = 32_768  # ordinary files have fewer than 3,000

# Measured from above with libjpeg-turbo 3.2 (Zen 5), with files that were made to be slow
_SEGMENT_NS, _BYTE_NS = 3_000, 12
_MAX_USUAL_NS = 50_000_000  # for visiting blocks: the ten scans that libjpeg writes of 12 megapixels take 43 ms
_PROGRESSIVE_BYTE_NS = 22
_COEFFICIENTS_NS = 90  # to have a block's coefficients until all scans have been read; mostly the system's
# To visit a block, once in each scan, and what is added for each coefficient of a scan that refines them.
_VISIT_NS, _ARITHMETIC_VISIT_NS, _LOSSLESS_VISIT_NS, _REFINED_NS = 15, 1_500, 300, 0.7
_BLOCK_BYTES = 128  # 64 coefficients


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame header: which process it was coded with, how many components and blocks there are, and in which.

    `blocks_of` is empty if components have the same number, which decoders read in ways of their own.
    """

    process: int
    components: int
    blocks: int
    blocks_of: dict[int, int]

    @property
    def is_progressive(self) -> bool:
        return self.process in _PROGRESSIVE


@dataclass(frozen=True, slots=True)
class _Header:
    """What comes before the first scan, which is at `start`; `kept` are the segments that pixels depend on."""

    kept: list[bytes]
    frame: _Frame
    orientation: int
    profile: bytes
    start: int


@dataclass(frozen=True, slots=True)
class _Scans:
    """What follows: how many segments, the time for visiting blocks, the components in all scans, and the end."""

    segments: int
    nanoseconds: int
    scans: int
    components: int
    end: int


def outline_jpeg(data: bytes) -> Outline:
    """Outline a JPEG. Metadata, previews, and whatever follows the first picture are left out."""
    header = _read_header(data)
    frame, start = header.frame, header.start
    scans = _walk_scans(data, start, frame)
    if scans.nanoseconds > MAX_UNUSUAL_NS:
        raise too_much_work()
    is_buffered = scans.scans > 1 or frame.is_progressive
    if is_buffered and (scans.scans < 2 or scans.components < frame.components):
        raise incomplete()
    return Outline(
        "JPEG",
        content=b"".join([b"\xff\xd8", *header.kept, data[start : scans.end], _EOI]),
        has_single_scan=not is_buffered,
        is_usual=frame.process in _USUAL and scans.nanoseconds <= _MAX_USUAL_NS,
        nanoseconds=_SEGMENT_NS * (len(header.kept) + scans.segments)
        + (_PROGRESSIVE_BYTE_NS if is_buffered else _BYTE_NS) * (scans.end - start)
        + scans.nanoseconds
        + (_COEFFICIENTS_NS * frame.blocks if is_buffered else 0),
        orientation=header.orientation,
        coefficients=_BLOCK_BYTES * frame.blocks if is_buffered else 0,
        profile=header.profile,
    )


def _read_header(data: bytes) -> _Header:
    kept, metadata, frame, size = list[bytes](), _Metadata(), None, 0
    for marker, start, end in _segments(data):
        if marker == _SCAN:
            if frame is None or size > _MAX_TABLE_BYTES or (len(data) > _LONG and data.find(_FILL, start) >= 0):
                raise damaged_header()
            return _Header(kept, frame, metadata.orientation, _join_profile(metadata.profile), start)
        if marker in _TABLES:
            kept.append(data[start:end])
            size += end - start
            if marker in _FRAMES:
                frame = _read_frame(marker, data[start + 4 : end])
        elif marker == 0xE0 and data.startswith(b"JFIF", start + 4):
            kept.append(_cut(data[start:end], _JFIF_BYTES))
        elif marker == 0xEE and data.startswith(b"Adobe", start + 4):
            kept.append(_cut(data[start:end], _ADOBE_BYTES))
        else:
            metadata.take(marker, data, start + 4, end)
    raise damaged_header()


@dataclass(slots=True)
class _Metadata:
    """The parts of EXIF, of a profile of colours, and the last XMP."""

    exif: list[bytes] = field(default_factory=list)
    profile: list[bytes] = field(default_factory=list)
    xmp: bytes = b""

    def take(self, marker: int, data: bytes, start: int, end: int) -> None:
        """Take note of a segment's content."""
        if marker == 0xE1 and data.startswith(EXIF, start):
            self.exif.append(data[start + len(EXIF) : end])
        elif marker == 0xE1 and data.startswith(_XMP, start):
            self.xmp = data[start:end]
        elif marker == 0xE2 and data.startswith(_PROFILE, start):
            self.profile.append(data[start + len(_PROFILE) : end])

    @property
    def orientation(self) -> int:
        return read_orientation(EXIF + b"".join(self.exif), self.xmp) if self.exif or self.xmp else 1


def _join_profile(parts: list[bytes]) -> bytes:
    """Join a profile's parts in the order of their numbers; one that lacks parts, or is too long, is left out."""
    if any(len(part) < 2 or part[1] != len(parts) for part in parts) or sum(map(len, parts)) > MAX_PROFILE_BYTES:
        return b""
    return b"".join([part[2:] for part in sorted(parts)])


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the header's segments with their markers and ends, up to and with that of the first scan."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        marker, length = _SEGMENT.unpack_from(data, at) if at + _SEGMENT.size <= len(data) else (0, 0)
        if not 0xFF01 < marker < 0xFFFF:
            found = _MARKER.search(data, at, at + _MAX_FILL_BYTES)
            if found is None:
                raise damaged_header()
            at = found.start()
            continue
        if marker & 0xFF in _BARE:
            at += 2
            continue
        start, at = at, at + 2 + length
        if length < 2 or at > len(data):
            raise damaged_header()
        yield marker & 0xFF, start, at
    raise too_many_parts(_MAX_SEGMENTS)


def _cut(segment: bytes, length: int) -> bytes:
    """Shorten a segment to a length, which does not count its marker."""
    return segment[:2] + length.to_bytes(2) + segment[4 : 2 + length] if len(segment) > 2 + length else segment


def _read_frame(marker: int, content: bytes) -> _Frame:
    """Read a frame header, and count the blocks of whole units of interleaved components."""
    height, width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    parts = [content[at : at + 3] for at in range(6, len(content) - 2, 3)]
    factors = [(max(1, part[1] >> 4), max(1, part[1] & 15)) for part in parts]
    if not factors:
        raise damaged_header()
    across = -(-width // (8 * max(horizontal for horizontal, _ in factors)))
    down = -(-height // (8 * max(vertical for _, vertical in factors)))
    blocks = [across * down * h * v for h, v in factors]
    blocks_of = {part[0]: number for part, number in zip(parts, blocks, strict=True)}
    return _Frame(marker, len(parts), sum(blocks), blocks_of if len(blocks_of) == len(parts) else {})


def _walk_scans(data: bytes, start: int, frame: _Frame) -> _Scans:
    """Go through the scans and the segments between them; a header that makes no sense is where a decoder gives up."""
    nanoseconds = scans = components = 0
    at = start
    for number in range(_MAX_MARKERS):
        found = _MARKER_AFTER_DATA.search(data, at)
        if found is None:
            return _Scans(number, nanoseconds, scans, components, len(data))
        at = found.end()
        marker, length = data[at - 1], int.from_bytes(data[at : at + 2])
        if marker == _END or at + length > len(data):
            return _Scans(number, nanoseconds, scans, components, found.start())
        if marker == _SCAN:
            if length != 6 + 2 * data[at + 2]:
                return _Scans(number, nanoseconds, scans, components, len(data))
            nanoseconds += _scan_nanoseconds(data, at, frame)
            scans += 1
            components += data[at + 2]
            if number == 0 and not frame.is_progressive and data[at + 2] == frame.components:
                return _Scans(1, nanoseconds, scans, components, _find_end(data, at + length))
        if marker not in _BARE:
            at += length
    raise too_many_parts(_MAX_MARKERS)


def _find_end(data: bytes, start: int) -> int:
    """Find the end of the only scan, which a decoder looks for; the end of the file is one, which is quicker found."""
    if data.endswith(_EOI):
        return len(data) - len(_EOI)
    end = data.find(_EOI, start)
    return end if end >= 0 else len(data)


def _scan_nanoseconds(data: bytes, at: int, frame: _Frame) -> int:
    """Estimate the time of visiting blocks in the scan whose header is at `at`."""
    count = data[at + 2]
    visited = sum([frame.blocks_of.get(component, frame.blocks) for component in data[at + 3 : at + 3 + 2 * count : 2]])
    if frame.process in _LOSSLESS:
        return _LOSSLESS_VISIT_NS * visited
    if frame.process in _ARITHMETIC:
        return _ARITHMETIC_VISIT_NS * visited
    first, last, precision = data[at + 3 + 2 * count : at + 6 + 2 * count]
    refined = max(0, last - first + 1) if precision >> 4 else 0
    return int((_VISIT_NS + _REFINED_NS * refined) * visited)
