"""Picture files, written with Pillow, or by hand where it has no way."""

import io
import struct
import zlib

from PIL import Image

GREY, RGB = 0, 2  # PNG's colour types
_MEBIBYTE = 1 << 20


def encode(image: Image.Image, format_: str, **options: object) -> bytes:
    """Encode to a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def write_png(size: tuple[int, int], data: bytes, *, depth: int, colour: int = GREY, extra: bytes = b"") -> bytes:
    """Write a PNG from its compressed rows, with `extra` chunks before them."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def black_png(width: int, height: int, *, depth: int = 8, extra: bytes = b"") -> bytes:
    """Write a valid, black, grey PNG; takes no memory for its pixels."""
    row_bytes = 1 + (width * depth + 7) // 8  # the first byte is the row's filter
    return write_png((width, height), zeros(row_bytes * height), depth=depth, extra=extra)


def chunk(name: bytes, data: bytes) -> bytes:
    """Write one chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def zeros(length: int) -> bytes:
    """Compress so many zero bytes with zlib, without having them: one compressed mebibyte, again and again."""
    block = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    mebibyte = block.compress(bytes(_MEBIBYTE)) + block.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    rest = end.compress(bytes(length % _MEBIBYTE)) + end.flush()
    checksum = struct.pack(">HH", length % 65_521, 1)  # Adler-32 of zeros, RFC 1950
    return b"\x78\xda" + mebibyte * (length // _MEBIBYTE) + rest + checksum
