"""WebP: chunks in a RIFF container (RFC 9649), of which those of the first picture are kept."""

import struct
from collections.abc import Iterator

from whisker.model.structure.orientation import read_orientation
from whisker.model.structure.outline import MAX_PROFILE_BYTES, Outline, damaged_header, too_many_parts

_HEAD = struct.Struct("<4sI")  # a chunk's name and length
_LOSSY, _LOSSLESS, _ALPHA = b"VP8 ", b"VP8L", b"ALPH"
_FEATURES, _ANIMATION, _FRAME = b"VP8X", b"ANIM", b"ANMF"
_KEPT_FEATURES = 0b0001_0010  # transparency and animation, but no profile, EXIF or XMP
_MAX_CHUNKS = 10_000

# Measured from above with libwebp 1.6 (Zen 5); the second is for files of nothing but tables
_BYTE_NS, _TABLE_BYTE_NS = 40, 1_000
_MAX_TABLE_BYTES = 170_000  # 65,536 groups of five tables


def outline_webp(data: bytes) -> Outline:
    """Outline a WebP, whose size, and so the cost of its pixels, the decoder tells first.

    The container is written anew: metadata, later frames, and a length that is not the file's are left out.
    """
    kept: dict[bytes, bytes] = {}  # a chunk of each kind
    metadata = {b"EXIF": b"", b"XMP ": b"", b"ICCP": b""}
    for name, content in _chunks(data):
        if name in metadata:
            metadata[name] = metadata[name] or content
        elif name == _FEATURES:
            kept.setdefault(name, bytes([content[0] & _KEPT_FEATURES]) + content[1:] if content else content)
        elif name in (_LOSSY, _LOSSLESS, _ALPHA, _ANIMATION, _FRAME):
            kept.setdefault(name, content)
    if not {_LOSSY, _LOSSLESS, _FRAME} & kept.keys():
        raise damaged_header()
    has_tables = bool({_LOSSLESS, _ALPHA} & kept.keys()) or any(
        it in kept.get(_FRAME, b"") for it in (_LOSSLESS, _ALPHA)
    )
    profile = metadata[b"ICCP"]
    return Outline(
        "WEBP",
        content=_written(kept),
        nanoseconds=_BYTE_NS * len(data) + _TABLE_BYTE_NS * min(len(data), _MAX_TABLE_BYTES) * has_tables,
        orientation=read_orientation(metadata[b"EXIF"], metadata[b"XMP "]),
        profile=profile if len(profile) <= MAX_PROFILE_BYTES else b"",
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each chunk's name and content; the last may be cut short."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + _HEAD.size > len(data):
            return
        name, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield name, data[at : at + length]
        at += length + length % 2
    raise too_many_parts(_MAX_CHUNKS)


def _written(chunks: dict[bytes, bytes]) -> bytes:
    content = b"".join([_HEAD.pack(name, len(it)) + it + bytes(len(it) % 2) for name, it in chunks.items()])
    return _HEAD.pack(b"RIFF", 4 + len(content)) + b"WEBP" + content
