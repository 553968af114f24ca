from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.pictures import draw
from training.augmentation import augment
from training.config import PRESETS

RECIPE = PRESETS["quick"]
STILL = replace(RECIPE, minimum_crop=1.0, colour=0.0)
NOT_FLIPPED = torch.zeros(6, dtype=torch.bool)


@pytest.fixture
def pixels() -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(draw("rings", seed, (60, 60))) for seed in range(6)]))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_batch_has_the_size_and_range_of_network_input(pixels: Tensor, size: int) -> None:
    x = augment(pixels, NOT_FLIPPED, size, RECIPE, generator())
    assert x.shape == (6, 3, size, size)
    assert x.dtype == torch.float32
    assert 0 <= float(x.min()) < float(x.max()) <= 1


def test_equal_generators_give_equal_batches(pixels: Tensor) -> None:
    first, second, other = (augment(pixels, NOT_FLIPPED, 48, RECIPE, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_pictures_of_a_batch_are_augmented_differently(pixels: Tensor) -> None:
    x = augment(pixels[:1].expand(6, -1, -1, -1), NOT_FLIPPED, 48, RECIPE, generator())
    assert all(not torch.allclose(x[0], x[index]) for index in range(1, 6))


def test_flipped_pictures_are_mirrored_sideways() -> None:
    """On a picture that is dark at the left and light at the right, wherever the crop is."""
    ramp = torch.linspace(0, 255, 60).to(torch.uint8)[None, None, :, None].expand(6, 60, 60, 3)
    flipped = torch.tensor([True, False] * 3)
    x = augment(ramp, flipped, 60, STILL, generator())
    rises_sideways = x[:, 0, 30, 50] > x[:, 0, 30, 10]
    assert rises_sideways.tolist() == [False, True] * 3
    assert float((x[:, 0, 10, 30] - x[:, 0, 50, 30]).abs().max()) < 1e-5  # and nothing changes from top to bottom


def test_colour_changes_but_shapes_stay(pixels: Tensor) -> None:
    plain = augment(pixels, NOT_FLIPPED, 60, STILL, generator())
    tinted = augment(pixels, NOT_FLIPPED, 60, replace(STILL, colour=0.25), generator())
    assert not torch.allclose(plain, tinted, atol=0.02)
    correlation = torch.corrcoef(torch.stack([plain[0].flatten(), tinted[0].flatten()]))[0, 1]
    assert float(correlation) > 0.9
