"""WebP: chunks that libwebp reads, so that only the picture itself costs anything."""

from whisker.model.structure.outline import Outline

_LOSSY, _LOSSLESS = b"VP8 ", (b"VP8L", b"ALPH")  # chunks of pixels, the last of their transparency

# Measured from above with libwebp 1.6 (Zen 5); the second is for files of nothing but tables
_BYTE_NS, _TABLE_BYTE_NS = 40, 1_000
_MAX_TABLE_BYTES = 170_000  # 65,536 groups of five tables


def outline_webp(data: bytes) -> Outline:
    """Outline a WebP, whose size, and so the cost of its pixels, the decoder tells first."""
    has_tables = not data.startswith(_LOSSY, 12) and any(name in data for name in _LOSSLESS)
    tables = min(len(data), _MAX_TABLE_BYTES) if has_tables else 0
    return Outline("WEBP", data, _BYTE_NS * len(data) + _TABLE_BYTE_NS * tables, orientation=None)
