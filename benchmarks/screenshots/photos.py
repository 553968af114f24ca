"""Photos to drop on the page: drawings, of odd shapes and with long names among them."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

_SHAPES = ((1200, 900), (160, 120), (600, 900), (900, 300), (300, 800))
LONG_NAME = "IMG_20260101_" + "a-very-long-file-name-without-any-blank_" * 3


def draw_photos(folder: Path, count: int) -> list[Path]:
    """Draw flowers in changing colours and shapes; the second one's name has about 120 characters."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw(folder, number) for number in range(count)]


def choose_photos(folder: Path, count: int) -> Sequence[Path]:
    """List some of a folder's own photos."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:count]


def write_no_photo(folder: Path) -> Path:
    """Write a text with a long name that ends like a picture's."""
    path = folder / f"{LONG_NAME[:112]}_no.png"
    path.write_text("This is a text.")
    return path


def _draw(folder: Path, number: int) -> Path:
    width, height = _SHAPES[number % len(_SHAPES)]
    image = Image.new("RGB", (width, height), _colour(number * 0.13 + 0.3, 0.5, 0.45))
    pencil, side = ImageDraw.Draw(image), min(width, height)
    for petal in range(6):
        x = width / 2 + side * 0.2 * [0, 0.87, 0.87, 0, -0.87, -0.87][petal]
        y = height / 2 + side * 0.2 * [-1, -0.5, 0.5, 1, 0.5, -0.5][petal]
        box = (x - side * 0.16, y - side * 0.16, x + side * 0.16, y + side * 0.16)
        pencil.ellipse(box, fill=_colour(number * 0.07 + 0.07, 0.9, 0.95))
    image = image.filter(ImageFilter.GaussianBlur(side / 80))
    path = folder / (f"{LONG_NAME[:114]}.jpg" if number == 1 else f"flower {number + 1}.jpg")
    image.save(path, quality=88)
    return path


def _colour(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
