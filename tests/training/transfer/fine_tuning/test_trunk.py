"""The trunk: what the frozen part of a network makes of the photos."""

import numpy as np
import pytest
import torch

from tests.training.transfer.small import SIZE, shapes
from whisker.model.networks.base import Network
from whisker.training.fit.augmentation import Augmentation
from whisker.training.progress import Progress
from whisker.training.transfer.fine_tuning.trunk import (
    ComputedActivations,
    Crops,
    compute_activations,
    open_trunk,
    trunk_shape,
)

CUT = 10  # parts of EfficientNet-Lite0: up to the fifth stage


def crops_of(photos: int, seed: int = 0) -> Crops:
    return Crops(shapes(photos, size=80), Augmentation(0.5, 0.2, threads=1), SIZE, seed)


@torch.inference_mode()
def test_trunk_and_the_rest_are_the_network(network: Network, quiet: Progress) -> None:
    photos = shapes(2)
    trunk = open_trunk(network, CUT, SIZE, "cpu")
    x = compute_activations(trunk, photos, None, views=1, progress=quiet).plain(photos.rows)
    assert tuple(x.shape[1:]) == trunk_shape(network, CUT, SIZE) == (112, 4, 4)
    for part in network.parts()[CUT:]:
        x = part(x)
    features = network.avgpool(x).flatten(1)
    expected = network.embed(torch.from_numpy(photos.pixels).permute(0, 3, 1, 2).float() / 255)
    assert float(torch.cosine_similarity(features, expected).min()) > 0.98


def test_views_are_plain_mirrored_and_crops(network: Network, quiet: Progress) -> None:
    photos = shapes(2)
    trunk = open_trunk(network, CUT, SIZE, "cpu")
    values = compute_activations(trunk, photos, crops_of(2), views=4, progress=quiet).values
    assert values.shape == (4, 4, 112, 4, 4)
    assert values.dtype == torch.float16

    def alone(pixels: np.typing.NDArray[np.uint8]) -> torch.Tensor:
        maps = trunk.run(list(np.ascontiguousarray(pixels)), with_maps=True).maps
        assert maps is not None
        return torch.from_numpy(maps).half()

    torch.testing.assert_close(values[0], alone(photos.pixels))
    torch.testing.assert_close(values[1], alone(photos.pixels[:, :, ::-1]))
    torch.testing.assert_close(values[2], alone(crops_of(2).cut(2, np.arange(4))))
    assert not torch.equal(values[2], values[3])


def test_without_crops_further_views_are_plain(network: Network, quiet: Progress) -> None:
    trunk = open_trunk(network, CUT, SIZE, "cpu")
    values = compute_activations(trunk, shapes(1), None, views=3, progress=quiet).values
    assert torch.equal(values[2], values[0])


def test_activations_are_picked_by_view_and_photo(network: Network, quiet: Progress) -> None:
    activations = compute_activations(
        open_trunk(network, CUT, SIZE, "cpu"), shapes(2), crops_of(2), views=3, progress=quiet
    )
    picked = activations.pick(np.array([2, 0]), np.array([1, 3]), 0)
    assert picked.dtype == torch.float32
    assert torch.equal(picked[0], activations.values[2, 1].float())
    assert torch.equal(picked[1], activations.plain(np.array([3]))[0])


def test_activations_that_fill_no_memory_are_of_the_same_photos(network: Network) -> None:
    """A training that goes on sees the crops that it would have seen: they follow from the step."""
    photos, trunk, rows = shapes(2), open_trunk(network, CUT, SIZE, "cpu"), np.array([3, 0])
    activations = ComputedActivations(trunk, photos, crops_of(2))
    assert (activations.views, activations.photos) == (1, 4)
    plain = trunk.run(list(photos.pixels[[3, 0]]), with_maps=True).maps
    assert plain is not None
    torch.testing.assert_close(activations.plain(rows), torch.from_numpy(plain))
    once, again, later = (activations.pick(np.zeros(2, np.int64), rows, step) for step in (7, 7, 8))
    assert torch.equal(once, again)
    assert not torch.equal(once, later)


def test_crops_are_equal_for_equal_seeds_and_differ_from_view_to_view() -> None:
    picked = np.array([1, 2])
    first = crops_of(2).cut(2, picked)
    assert first.shape == (2, SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, crops_of(2).cut(2, picked))
    assert (first != crops_of(2).cut(3, picked)).any()
    assert (first != crops_of(2, seed=1).cut(2, picked)).any()


@pytest.mark.parametrize("tail", [5, 7])
def test_cut_leaves_the_tail(network: Network, tail: int) -> None:
    assert tail in network.tail_parts
    channels, height, width = trunk_shape(network, len(network.parts()) - tail, SIZE)
    assert (channels, height, width) == {5: (112, 4, 4), 7: (40, 8, 8)}[tail]
