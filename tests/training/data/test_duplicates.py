import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance

from tests.pictures import draw, encode
from whisker.model.preprocessing import Preprocessing
from whisker.training.data.duplicates import group_duplicates

SIZE = 80


def groups_of(files: list[bytes]) -> NDArray[np.int64]:
    pixels = np.stack([Preprocessing(SIZE).decode(data) for data in files])
    return group_duplicates(pixels, np.arange(len(files)), [hashlib.sha256(data).hexdigest() for data in files])


def scene(seed: int) -> Image.Image:
    """Draw coarse random colours: like photos, no two are alike at thumbnail size."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
        (320, 240), Image.Resampling.BICUBIC
    )


def test_variants_of_a_picture_are_one_group() -> None:
    original = scene(1)
    variants = [
        encode(original),
        encode(original),  # the same bytes
        encode(original, "JPEG", quality=40),
        encode(original.resize((160, 120)), "JPEG"),
        encode(ImageEnhance.Brightness(original).enhance(0.8)),
        encode(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "WEBP"),
    ]
    assert groups_of([*variants, encode(scene(2))]).tolist() == [0, 0, 0, 0, 0, 0, 6]


def test_different_pictures_are_groups_of_their_own() -> None:
    files = [encode(scene(seed)) for seed in range(60)] + [encode(draw("rings", seed)) for seed in range(60)]
    assert len(np.unique(groups_of(files))) == 120


def test_flat_pictures_are_not_duplicates_of_each_other() -> None:
    files = [encode(Image.new("RGB", (50, 50), (value, value, value))) for value in (0, 90, 255)]
    assert groups_of(files).tolist() == [0, 1, 2]


def apple(colour: tuple[int, int, int], seed: int) -> bytes:
    """Draw an apple on a white table, slightly shifted by `seed`."""
    left, top = (60 + int(shift) for shift in np.random.default_rng(seed).integers(-6, 7, 2))
    image = Image.new("RGB", (320, 320), (255, 255, 255))
    ImageDraw.Draw(image).ellipse((left, top, left + 200, top + 200), fill=colour)
    return encode(image)


def test_things_of_another_colour_are_not_duplicates() -> None:
    files = [apple(colour, seed) for colour in ((200, 30, 40), (60, 160, 50)) for seed in range(6)]
    groups = groups_of(files)
    assert not set(groups[:6]) & set(groups[6:])


def test_many_similar_photos_are_one_group_in_little_memory() -> None:
    pixels = np.broadcast_to(np.asarray(scene(1).resize((SIZE, SIZE))), (3000, SIZE, SIZE, 3))
    digests = [str(index) for index in range(3000)]
    assert set(group_duplicates(pixels, np.arange(3000), digests)) == {0}


def test_only_the_given_rows_are_compared() -> None:
    files = [encode(scene(1)), encode(scene(2)), encode(scene(1), "JPEG")]
    pixels = np.stack([Preprocessing(SIZE).decode(data) for data in files])
    assert group_duplicates(pixels, np.array([0, 2]), ["a", "b"]).tolist() == [0, 0]
    assert group_duplicates(pixels, np.array([1, 2]), ["a", "b"]).tolist() == [0, 1]
