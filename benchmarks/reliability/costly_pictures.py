"""Pictures that cost far more than they weigh: small files, of ordinary size when decoded, that take seconds."""

import struct
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from benchmarks.reliability.pictures import black_png, chunk, encode
from benchmarks.reliability.video_pictures import avif, heic_grid

_APP1, _APP2, _COMMENT, _TABLE, _FRAME, _SCAN = (
    b"\xff\xe1",
    b"\xff\xe2",
    b"\xff\xfe",
    b"\xff\xc4",
    b"\xff\xc2",
    b"\xff\xda",
)
_CODES = 15  # one for each number of bits in which a run of blocks is counted


def costly_pixels() -> dict[str, Callable[[], bytes]]:
    """Give what makes pictures, by name, whose pixels take long to decode."""
    return {
        "HEIC grid of 192 tiles": lambda: heic_grid((2_048, 1_536), 16, 12),
        "AVIF of 24 megapixels": lambda: avif(Image.new("RGB", (6_000, 4_000), "teal")),
        "TIFF of 24 megapixels in LZW": lambda: encode(
            Image.new("RGB", (6_000, 4_000)), "TIFF", compression="tiff_lzw"
        ),
        "TIFF of 20,000 JPEGs": lambda: encode(Image.new("RGB", (8_000, 40_000 // 8)), "TIFF", compression="jpeg"),
        "JPEG of 250 scans, 4,500 x 4,500 pixels": lambda: scanned_jpeg((4_500, 4_500), 250),
        "JPEG of 50 scans, 4,500 x 4,500 pixels": lambda: scanned_jpeg((4_500, 4_500), 50),
        "JPEG of 20 scans, 10,000 x 5,000 pixels": lambda: scanned_jpeg((10_000, 5_000), 20),
        "JPEG of 50 scans, 640 x 480 pixels": lambda: scanned_jpeg((640, 480), 50),
        "BMP of runs, 4,000 x 2,200 pixels": lambda: run_length_bmp((4_000, 2_200)),
        "BMP that leaps, 7,000 x 7,000 pixels": lambda: run_length_bmp((7_000, 7_000), b"\0\2\0\xff" * 30),
        "PNG of 12 megapixels in 16 bits": lambda: black_png(4_000, 3_000, depth=16),
    }


def costly_metadata() -> dict[str, bytes]:
    """Make pictures, by name, whose metadata takes long to read."""
    jpegs = {f"JPEG with {what}": small_jpeg(segments) for what, segments in _segments().items()}
    pngs = {f"PNG with {what}": black_png(64, 64, extra=data) for what, data in _chunks().items()}
    return {
        **jpegs,
        **pngs,
        "GIF with a comment in 200,000 pieces": commented_gif(200_000),
        "TIFF with 900 tags of 10 MB": tagged_tiff(900),
    }


def scanned_jpeg(size: tuple[int, int], scans: int) -> bytes:
    """Write a grey progressive JPEG whose scans each refine all blocks, and say for all of them: nothing changes.

    Only runs of blocks are coded, so that a scan takes some 40 bytes (ITU-T T.81, G.1.2.3), but a decoder has to look
    at every coefficient of every block.
    """
    codes = bytes([0, 0, 0, _CODES, *[0] * 12, *[length << 4 for length in range(_CODES)]])  # all of four bits
    header = struct.pack(">BHHB3B", 8, size[1], size[0], 1, 1, 0x11, 0)
    scan = _segment(_SCAN, bytes([1, 1, 0, 1, 63, 0x10])) + _empty_blocks(-(-size[0] // 8) * -(-size[1] // 8))
    quantization = _segment(b"\xff\xdb", b"\0" + b"\1" * 64)
    head = b"\xff\xd8" + quantization + _segment(_FRAME, header) + _segment(_TABLE, b"\x10" + codes)
    return head + scan * scans + b"\xff\xd9"


def run_length_bmp(size: tuple[int, int], rows: bytes = b"") -> bytes:
    """Write an 8-bit BMP that is coded in runs: by default of one pixel a row, whose others are left out."""
    body, palette = rows or b"\1\1\0\0" * size[1], bytes(1024)
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header) + len(palette)) + header + palette + body


def commented_gif(pieces: int) -> bytes:
    """Write a GIF whose comment comes in pieces of one letter."""
    small = encode(Image.new("P", (20, 20)), "GIF")
    at = small.index(b",")  # where the frame starts, since the palette is black
    return small[:at] + b"\x21\xfe" + b"\1a" * pieces + b"\0" + small[at:]


def small_jpeg(segments: bytes) -> bytes:
    """Write a small JPEG with more segments before its own."""
    small = encode(Image.new("RGB", (64, 64), "teal"), "JPEG")
    return small[:2] + segments + small[2:]


def exif_entries(count: int) -> bytes:
    """Write EXIF data with so many tags, none of which is the orientation."""
    entries = b"".join([struct.pack("<HHLL", 0x8000 + tag, 3, 1, 1) for tag in range(count)])
    return b"Exif\0\0II\x2a\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(4)


def tagged_tiff(tags: int) -> bytes:
    """Write a TIFF with so many tags more, the value of each of which is 10 MB of the file."""
    small = encode(Image.new("RGB", (1, 1)), "TIFF")
    (start,) = struct.unpack_from("<I", small, 4)
    (count,) = struct.unpack_from("<H", small, start)
    old = small[start + 2 : start + 2 + 12 * count]
    more = b"".join([struct.pack("<HHII", 40_000 + tag, 1, 10_000_000, 8) for tag in range(tags)])
    content = small[8:].ljust(10_000_000, b"\0")
    directory = struct.pack("<H", count + tags) + old + more + bytes(4)
    return small[:4] + struct.pack("<I", 8 + len(content)) + content + directory


def _segments() -> Mapping[str, bytes]:
    return {
        "0.7 MB of EXIF in 70,000 segments": _segment(_APP1, b"Exif\0\0") * 70_000,
        "0.7 MB of EXIF in 11 segments": _segment(_APP1, b"Exif\0\0" + bytes(65_000)) * 11,
        "100,000 comments": _segment(_COMMENT, b"") * 100_000,
        "a colour profile in 20,000 segments": _segment(_APP2, b"ICC_PROFILE\0\1\1") * 20_000,
        "5,000 EXIF tags": _segment(_APP1, exif_entries(5_000)),
        "an index of 5,000 pictures": _segment(_APP2, b"MPF\0" + exif_entries(5_000)[6:]),
        "1,000,000 bytes of filling": b"\xff" * 1_000_000,
        "1,000 tables in each of 10 segments": _segment(b"\xff\xdb", (b"\0" + b"\1" * 64) * 1_000) * 10,
    }


def _chunks() -> Mapping[str, bytes]:
    mebibyte = zlib.compress(bytes(1 << 20))
    return {
        "60 texts of 1 MiB": chunk(b"zTXt", b"Comment\0\0" + mebibyte) * 60,
        "60 colour profiles of 1 MiB": chunk(b"iCCP", b"profile\0\0" + mebibyte) * 60,
        "50,000 texts": chunk(b"tEXt", b"a\0b") * 50_000,
        "50,000 empty pieces of a picture": chunk(b"IDAT", b"") * 50_000,
    }


def _segment(marker: bytes, content: bytes) -> bytes:
    return marker + struct.pack(">H", len(content) + 2) + content


def _empty_blocks(count: int) -> bytes:
    """Code runs of blocks without coefficients, each run as its length's code and the rest of its number of bits."""
    bits = ""
    while count:
        length = min(_CODES - 1, count.bit_length() - 1)
        run = min(count, (2 << length) - 1)
        bits += f"{length:04b}" + (f"{run - (1 << length):0{length}b}" if length else "")
        count -= run
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
