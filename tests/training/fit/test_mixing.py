import numpy as np
import pytest
import torch
from torch import Tensor

from whisker.training.fit.augmentation import mix_pairs

PHOTOS = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 6)  # each of one colour, its number
LABELS = torch.tensor([0, 1, 2, 0])


def mixed(seed: int) -> tuple[Tensor, Tensor]:
    return mix_pairs(PHOTOS.clone(), LABELS, 3, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_shared_as_the_pixels_are(seed: int) -> None:
    x, shows = mixed(seed)
    assert torch.allclose(shows.sum(1), torch.ones(4))
    # Photo 1's neighbour is photo 0, black: what is left of its own brightness is its share.
    assert shows[1].tolist() == pytest.approx([1 - x[1].mean().item(), x[1].mean().item(), 0], abs=1e-5)


def test_both_ways_of_mixing_happen() -> None:
    whole_numbers = [bool((mixed(seed)[0] % 1 == 0).all()) for seed in range(40)]
    assert 10 < sum(whole_numbers) < 30  # pasted photos keep their colours, overlaid ones do not


def test_neighbours_of_one_class_stay_wholly_of_it() -> None:
    _, shows = mix_pairs(PHOTOS.clone(), torch.zeros(4, dtype=torch.long), 2, np.random.default_rng(0))
    assert torch.allclose(shows, torch.tensor([1.0, 0.0]).expand(4, 2))


def test_equal_generators_mix_equally() -> None:
    first, second = mixed(7), mixed(7)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_pictures_given_are_left_as_they_were() -> None:
    before = PHOTOS.clone()
    for seed in range(4):
        given = before.clone()
        mix_pairs(given, LABELS, 3, np.random.default_rng(seed))
        assert torch.equal(given, before)
