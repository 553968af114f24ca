import base64
import io
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from whisker.model import Checkpoint, NetworkConfig
from whisker.model.networks.build import build_network, require_trainable
from whisker.training.report.first_layer import FirstLayer, draw_first_layer


def initial(config: NetworkConfig) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return build_network(config, 2).state_dict()


def draw(most: int = 64, **options: Any) -> FirstLayer:
    config = NetworkConfig(**options)
    return draw_first_layer(config, initial(config), most)


def pixels(layer: FirstLayer) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(layer.png)))


def tiles_in(picture: NDArray[np.uint8], side: int) -> int:
    return int((picture[..., -1] == 255).sum()) // side**2


@pytest.mark.parametrize(
    ("options", "kind", "units", "side", "tile"),
    [
        ({"family": "mlp", "width": 10, "size": 32, "channels": 1}, "neurons", 10, 32, 64),
        ({"family": "mlp", "width": 10, "size": 128, "channels": 1}, "neurons", 10, 128, 64),
        ({"family": "cnn", "width": 6, "size": 32}, "filters", 6, 3, 60),
        ({"family": "resnet", "width": 6, "size": 32}, "filters", 3, 3, 60),
        ({"family": "resnet", "width": 6, "size": 32, "variant": "original"}, "filters", 6, 7, 63),
        ({"family": "resnet", "width": 6, "size": 32, "variant": "bottleneck"}, "filters", 6, 7, 63),
        (asdict(NetworkConfig.published("lite0", 32)), "filters", 32, 3, 60),
        (asdict(NetworkConfig.published("small", 32)), "filters", 16, 3, 60),
        (asdict(NetworkConfig.published("atto", 32)), "filters", 40, 4, 60),
    ],
)
def test_each_unit_of_any_network_has_a_tile(
    options: dict[str, Any], kind: str, units: int, side: int, tile: int
) -> None:
    layer = draw(**options)
    assert (layer.kind, layer.shown, layer.units, layer.side) == (kind, units, units, side)
    assert tiles_in(pixels(layer), tile) == units


@pytest.mark.parametrize(("channels", "mode"), [(1, "LA"), (3, "RGBA")])
def test_grey_networks_have_grey_pictures(channels: int, mode: str) -> None:
    assert Image.open(io.BytesIO(draw(family="cnn", width=4, size=32, channels=channels).png)).mode == mode


def test_weights_are_scaled_around_grey_and_keep_their_places() -> None:
    config = NetworkConfig(family="cnn", width=2, size=32, channels=1)
    weights = torch.zeros(2, 1, 3, 3)
    weights[0, 0, 0, 0], weights[0, 0, 2, 0], weights[0, 0, 0, 2] = 0.02, -0.02, 0.01
    weights[1, 0, 1, 1] = -8.0
    picture = pixels(draw_first_layer(config, {"features.0.weight": weights}))[..., 0]
    strongest, other = picture[:, :60], picture[:, -60:]
    assert (strongest[30, 30], strongest[10, 30]) == (1, 128)
    assert (other[0, 0], other[19, 19], other[59, 0], other[0, 59], other[30, 30]) == (255, 255, 1, 192, 128)


def test_weights_of_a_neuron_are_drawn_as_means_of_squares() -> None:
    config = NetworkConfig(family="mlp", width=2, size=32, channels=1)
    weights = torch.zeros(2, 32, 32)
    weights[0, ::2, ::2], weights[0, :2, :2] = 4.0, -1.0  # a mean of 1, but of -1 in the first square
    layer = draw_first_layer(config, initial(config) | {"hidden.0.weight": weights.flatten(1)})
    picture = pixels(layer)[..., 0]
    assert (layer.side, layer.drawn) == (32, 16)
    assert set(picture[:4, :4].flat) == {1}
    assert set(picture[4:, :64].flat) == set(picture[:4, 4:64].flat) == {255}


def test_edges_are_told_from_noise() -> None:
    config = NetworkConfig(family="cnn", width=2, depth=1, size=32)
    assert draw_first_layer(config, initial(config)).is_noise
    ramp = torch.linspace(0.5, 1.0, 3)
    edge = torch.stack([ramp.expand(3, 3), ramp.expand(3, 3).T]).repeat(1, 3, 1).view(2, 3, 3, 3)
    assert not draw_first_layer(config, {"features.0.weight": edge}).is_noise


def test_layer_of_zeros_is_grey() -> None:
    config = NetworkConfig(family="cnn", width=2, size=32)
    picture = pixels(draw_first_layer(config, {"features.0.weight": torch.zeros(2, 3, 3, 3)}))
    assert set(picture[picture[..., -1] == 255][:, :3].flat) == {128}


def test_colours_are_red_green_and_blue() -> None:
    config = NetworkConfig(family="cnn", width=2, size=32)
    weights = torch.zeros(2, 3, 3, 3)
    weights[:, 2] = 1.0
    picture = pixels(draw_first_layer(config, {"features.0.weight": weights}))
    assert picture[0, 0].tolist() == [128, 128, 255, 255]


def test_gaps_between_tiles_are_transparent() -> None:
    picture = pixels(draw(family="cnn", width=10, size=32))
    assert picture.shape[:2] == (2 * 60 + 4, 8 * 60 + 7 * 4)  # eight in the first row, two in the second
    assert picture[61, 10, -1] == picture[10, 61, -1] == picture[80, 200, -1] == 0


def test_no_more_tiles_than_asked_for() -> None:
    layer = draw(family="cnn", width=66, size=32)
    assert (layer.shown, layer.units) == (64, 66)
    assert draw(1, family="cnn", width=66, size=32).shown == 1


def test_largest_picture_is_small_and_says_what_it_leaves_out() -> None:
    layer = draw(family="mlp", width=70, size=64, channels=3)
    assert len(layer.png) <= 100_000
    assert "the strongest 64 of 70 neurons" in layer.alt
    assert "all 4 filters" in draw(family="cnn", width=4, size=32).alt


def test_data_uri_is_the_png(untrained: Checkpoint) -> None:
    layer = draw_first_layer(require_trainable(untrained.network), untrained.state)
    kind, _, data = layer.data_uri().partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == layer.png


def test_weights_of_half_precision_are_drawn() -> None:
    config = NetworkConfig(family="cnn", width=4, size=32)
    state = {name: tensor.bfloat16() for name, tensor in initial(config).items()}
    assert draw_first_layer(config, state).shown == 4
