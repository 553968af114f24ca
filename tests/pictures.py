"""Generated pictures for tests: two classes that a small network learns in seconds, in any format."""

import io
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw

CLASSES = ("rings", "stripes")
SHAPES = ("disc", "grid", "triangle")


def draw(label: str, seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Draw noisy rings or stripes in random colours, RGB, `size` is width and height in pixels."""
    rng = np.random.default_rng((CLASSES.index(label), seed))
    y, x = np.mgrid[: size[1], : size[0]].astype(float)
    centre_x, centre_y = rng.uniform(0.3, 0.7, 2) * size
    distance = np.hypot(x - centre_x, y - centre_y) if label == "rings" else x + rng.uniform(-0.3, 0.3) * y
    wave = np.sin(distance * rng.uniform(0.6, 0.9) + rng.uniform(0, 6))[..., None] * 0.5 + 0.5
    light, dark = rng.uniform(140, 255, 3), rng.uniform(0, 110, 3)
    pixels = wave * light + (1 - wave) * dark + rng.normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_shapes(shapes: Collection[str], seed: int, side: int = 64) -> Image.Image:
    """Draw any of `SHAPES`, each in its own colour, half of the picture or a bit less, in a random place, RGB."""
    rng = np.random.default_rng((7, seed))
    image = Image.fromarray(rng.integers(90, 140, (side, side, 3), np.uint8))
    pen = ImageDraw.Draw(image)
    for shape in SHAPES:
        size = rng.uniform(0.35, 0.5) * side
        left, top = rng.uniform(0, side - size, 2)
        box, shade = (left, top, left + size, top + size), int(rng.integers(0, 60))
        if shape not in shapes:
            continue
        if shape == "disc":
            pen.ellipse(box, (255 - shade, 40, 40))
        elif shape == "grid":
            for line in np.linspace(0, size, 6):
                pen.line((left + line, top, left + line, top + size), (40, 40, 255 - shade), 2)
                pen.line((left, top + line, left + size, top + line), (40, 40, 255 - shade), 2)
        else:
            pen.polygon((left, top + size, left + size, top + size, left + size / 2, top), (250, 250 - shade, 60))
    return image


def encode(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    """Encode to a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    """Make EXIF data that holds an orientation, 1 to 8."""
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = orientation
    return data


def png_header(width: int, height: int) -> bytes:
    """Make a PNG that announces a size and holds next to nothing: a bomb's first bytes."""
    body = encode(Image.new("1", (1, 1)))
    announced = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunk = b"IHDR" + announced + body[24:29]
    return body[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + body[33:]


def write_folder(root: Path, photos: int, size: tuple[int, int] = (48, 40)) -> Path:
    """Write `root/<class>/<number>.png`, so many photos a class."""
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for seed in range(photos):
            draw(label, seed, size).save(root / label / f"{seed:03}.png")
    return root
