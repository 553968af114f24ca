from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.pictures import draw
from whisker.training.config import PRESETS, Recipe
from whisker.training.fit.augmentation import Augmentation

RECIPE = PRESETS["quick"]
STILL = replace(RECIPE, minimum_crop=1.0, colour=0.0)
ROWS = np.arange(6)
NOT_FLIPPED = np.zeros(6, bool)

Pixels = NDArray[np.uint8]


@pytest.fixture
def pixels() -> Pixels:
    return np.stack([np.asarray(draw("rings", seed, (60, 60))) for seed in range(6)])


def augment(
    pixels: Pixels,
    size: int,
    recipe: Recipe = RECIPE,
    *,
    seed: int = 0,
    rows: NDArray[np.int64] = ROWS,
    threads: int | None = None,
) -> Tensor:
    return Augmentation(recipe.minimum_crop, recipe.colour, threads)(
        pixels, rows, NOT_FLIPPED, size, torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("size", [32, 48, 64])
def test_batch_has_the_size_and_range_of_network_input(pixels: Pixels, size: int) -> None:
    x = augment(pixels, size)
    assert x.shape == (6, 3, size, size)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= float(x.min()) < float(x.max()) <= 1


def test_equal_generators_give_equal_batches(pixels: Pixels) -> None:
    first, second, other = (augment(pixels, 48, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_number_of_threads_does_not_change_a_batch(pixels: Pixels) -> None:
    batches = [augment(pixels, 48, threads=threads) for threads in (1, 4, 16)]
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[2])


def test_rows_in_use_are_read_in_their_order() -> None:
    shades = np.arange(0, 240, 40, dtype=np.uint8)[:, None, None, None]
    rows = np.array([4, 0, 4, 2, 5, 1])
    x = augment(np.broadcast_to(shades, (6, 60, 60, 3)).copy(), 32, STILL, rows=rows)
    torch.testing.assert_close(x.mean((1, 2, 3)) * 255, torch.from_numpy(rows * 40.0).float(), atol=1e-3, rtol=0)


def test_pictures_are_not_changed_in_place(pixels: Pixels) -> None:
    before = pixels.copy()
    augment(pixels, 32)
    np.testing.assert_array_equal(pixels, before)


def test_pictures_of_a_batch_are_augmented_differently(pixels: Pixels) -> None:
    x = augment(pixels, 48, rows=np.zeros(6, np.int64))
    assert all(not torch.allclose(x[0], x[index]) for index in range(1, 6))


def test_flipped_pictures_are_mirrored_sideways() -> None:
    """On a picture that is dark at the left and light at the right, wherever the crop is."""
    ramp = np.broadcast_to(np.linspace(0, 255, 60).astype(np.uint8)[:, None], (6, 60, 60, 3)).copy()
    flipped = np.array([True, False] * 3)
    x = Augmentation(minimum_crop=1.0, colour=0.0)(ramp, ROWS, flipped, 60, torch.Generator().manual_seed(0))
    rises_sideways = x[:, 0, 30, 50] > x[:, 0, 30, 10]
    assert rises_sideways.tolist() == [False, True] * 3
    assert float((x[:, 0, 10, 30] - x[:, 0, 50, 30]).abs().max()) < 1e-5  # and nothing changes from top to bottom


def test_crop_shows_a_part_of_the_requested_area() -> None:
    """A picture whose red rises sideways and whose green rises downwards tells which part of it is seen."""
    ramp = np.linspace(0, 1, 200)
    red, green = np.broadcast_to(ramp, (200, 200)), np.broadcast_to(ramp[:, None], (200, 200))
    pixels = (np.stack([red, green, red * 0], -1)[None] * 255).round().astype(np.uint8)
    x = Augmentation(RECIPE.minimum_crop, colour=0.0)(
        pixels, np.zeros(200, np.int64), np.zeros(200, bool), 32, torch.Generator().manual_seed(0)
    )
    reach = x[:, :2].amax((2, 3)) - x[:, :2].amin((2, 3))  # [200, 2]: width and height, as parts of the whole
    area = reach[:, 0] * reach[:, 1]
    assert 0.3 < float(area.min()) < 0.5  # at least 0.4, less what the picture's scaling loses at the edges
    assert float(area.max()) > 0.8
    assert float((reach[:, 0] / reach[:, 1]).max()) < 1.45


def test_colour_changes_but_shapes_stay(pixels: Pixels) -> None:
    plain = augment(pixels, 60, STILL)
    tinted = augment(pixels, 60, replace(STILL, colour=0.25))
    assert not torch.allclose(plain, tinted, atol=0.02)
    correlation = torch.corrcoef(torch.stack([plain[0].flatten(), tinted[0].flatten()]))[0, 1]
    assert float(correlation) > 0.9


def test_brightness_changes_the_mean_luma_and_nothing_else_does(pixels: Pixels) -> None:
    pale = pixels // 2 + 60  # nothing is clipped at 0 or 1
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    plain = torch.from_numpy(pale).permute(0, 3, 1, 2).float() / 255
    x = augment(pale, 60, replace(STILL, colour=0.1))
    brightness = (x * luma).sum(1).mean((1, 2)) / (plain * luma).sum(1).mean((1, 2))
    assert float((brightness - 1).abs().max()) <= 0.1 + 1e-4
    assert float(brightness.std()) > 0.01


def test_grey_photo_stays_grey(pixels: Pixels) -> None:
    x = augment(np.repeat(pixels[..., :1], 3, axis=3), 48, replace(RECIPE, colour=0.5))
    torch.testing.assert_close(x[:, :1].expand_as(x), x, atol=1e-5, rtol=0)
