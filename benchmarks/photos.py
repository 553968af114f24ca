"""The photos that are sent: a sample of a folder, and the same as large as a phone takes them."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from whisker.model.errors import ConfigError

MAX_PHOTOS = 64
LARGE_SIZE = (4000, 3000)  # pixels: 12 megapixels
_LARGE_QUALITY = 85
_ENDINGS = (".jpg", ".jpeg")


def read_photos(folder: Path, most: int = MAX_PHOTOS) -> list[bytes]:
    """Read `most` JPEG files, evenly spread over all in `folder` and below; raise `ConfigError` if there are none."""
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}: give a folder of JPEG photos.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
    if not paths:
        raise ConfigError(f"{folder} holds no .jpg or .jpeg file: give a folder of JPEG photos.")
    return [path.read_bytes() for path in sample(paths, most)]


def sample(paths: Sequence[Path], most: int) -> list[Path]:
    """Choose at most so many, evenly spread."""
    count = min(most, len(paths))
    return [paths[index * len(paths) // count] for index in range(count)]


def enlarge(photo: bytes) -> bytes:
    """Scale a photo up to 12 megapixels, as JPEG."""
    with Image.open(io.BytesIO(photo)) as image:
        buffer = io.BytesIO()
        image.convert("RGB").resize(LARGE_SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=_LARGE_QUALITY)
    return buffer.getvalue()
