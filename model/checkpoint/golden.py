"""Golden answers: a checkpoint's own proof that this machine decodes and computes like the training machine.

The pictures are generated, never photos of a training set, and stored as encoded files of every accepted format, so
that a replay also tests the decoders.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from whisker.model.errors import CheckpointError

# Decoders may round differently from version to version. Moving every value of every picture by up to one, at random,
# 200 times, moved no probability of the bundled checkpoint by more than half of this.
TOLERANCE = 0.02
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # of the pictures that are made here
_SEED = 20_150_421
# What another version may generate: a file with larger ones was made to keep whoever loads it busy.
MAX_PICTURES, MAX_BYTES = 64, 100_000  # bytes of each
_MAX_SIDE = 512  # pixels
_MAX_SCANS = 4  # of a JPEG: each decodes all of its pixels
_SCAN = b"\xff\xda"  # begins one, and is nowhere else in the pictures that are generated


def golden_pictures() -> tuple[bytes, ...]:
    """Generate one encoded picture for each path through the preprocessing."""
    rng = np.random.default_rng(_SEED)
    upside_down = Image.Exif()
    upside_down[ExifTags.Base.Orientation] = 3
    quarter_turn = Image.Exif()
    quarter_turn[ExifTags.Base.Orientation] = 6
    blobs = [_blobs(rng, width, height) for width, height in [(400, 300), (150, 200), (96, 64), (90, 120), (64, 48)]]
    return (
        _encode(blobs[0], "JPEG", quality=85),  # large enough to be decoded at a reduced scale
        _encode(blobs[1], "JPEG", quality=90, exif=quarter_turn),
        _encode(blobs[2].convert("L"), "JPEG", quality=90, exif=upside_down),
        _encode(blobs[3].convert("CMYK"), "JPEG", quality=90),
        _encode(_with_alpha(blobs[2]), "PNG"),
        _encode(_sixteen_bit(blobs[4]), "PNG"),
        _encode(blobs[4], "WEBP", lossless=True),
        _encode(blobs[4].quantize(64), "GIF"),
        _encode(blobs[4], "BMP"),
    )


def check_golden_answers(
    expected: NDArray[np.float32], answers: NDArray[np.float32], *, tolerance: float = TOLERANCE
) -> float:
    """Return the largest difference between stored and replayed probabilities `[pictures, classes]`.

    Raises `CheckpointError` if it exceeds `tolerance`: the weights were altered, or this machine computes wrongly.
    """
    difference = float(np.abs(answers - expected).max())
    if not difference <= tolerance:  # so written, NaN fails too
        raise CheckpointError(
            f"The checkpoint fails its own test: a golden answer differs by {difference:.3f} (allowed: {tolerance:g}), "
            "so the file was altered or this machine computes wrongly; use an unaltered copy."
        )
    return difference


def require_small(pictures: Sequence[bytes]) -> None:
    """Look at the headers of golden pictures, which are decoded on every load; raise `CheckpointError` for costly ones.

    Its message is the end of a sentence that begins with the checkpoint.
    """
    for index, data in enumerate(pictures):
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                side, scans = max(image.size), data.count(_SCAN) if image.format in ("JPEG", "MPO") else 1
                is_small = side <= _MAX_SIDE and scans <= _MAX_SCANS and "progressive" not in image.info
        except Exception as exc:  # on hostile bytes a decoder can raise anything at all
            raise CheckpointError(f"has a golden picture {index} that cannot be decoded") from exc
        if not is_small:
            raise CheckpointError(
                f"has a golden picture {index} that takes longer to decode than any that Whisker makes"
            )


def _blobs(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw smooth coloured noise: it has structure at the scale of a photo and survives compression."""
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _sixteen_bit(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _encode(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()
