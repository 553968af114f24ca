"""A network's first layer as a picture: its weights, one for each pixel they meet, are small pictures themselves."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from whisker.model.networks.config import NetworkConfig

_MAX_TILES = 64
_COLUMNS = 8
_GAP = 4  # pixels between tiles, transparent, so that the picture suits light and dark pages
_MIN_TILE = 60  # pixels; small filters are enlarged
# Training moves the weights of neighbouring pixels together: their mean shows more of what was learned, and less of the
# random initial weights. It also limits the size of the PNG, since noise does not compress.
_MAX_MEANS = 16  # along a side
_NOISE = 0.2  # smoothness below it is hardly learned: that of random weights is within 0.08, of trained ones above 0.3


@dataclass(frozen=True, slots=True)
class FirstLayer:
    """A PNG with a tile for each of the `shown` strongest of a layer's `units`, which are neurons or filters."""

    png: bytes
    kind: str
    shown: int
    units: int
    side: int  # weights along a side
    drawn: int  # means along a side; equal to `side` if each weight is drawn
    smoothness: float  # correlation of neighbouring means, averaged over the units: 0 of random weights

    @property
    def is_noise(self) -> bool:
        """Tell whether the tiles look like the random weights that a training begins with."""
        return self.smoothness < _NOISE

    @property
    def alt(self) -> str:
        """Describe the picture in words."""
        which = f"all {self.units}" if self.shown == self.units else f"the strongest {self.shown} of {self.units}"
        return (
            f"The weights of {which} {self.kind} of the first layer, a tile of {self.side} by {self.side} each: "
            "middle grey is zero, brighter is above, darker below."
        )

    def data_uri(self) -> str:
        """Encode the picture for a page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


# Of all families; a fully connected network's is [width, channels * size²].
_FIRST_LAYERS = (
    "hidden.0.weight",
    "features.0.weight",
    "conv1.weight",
    "conv1.0.weight",
    "conv_stem.weight",
    "stem.0.weight",
)


def draw_first_layer(network: NetworkConfig, state: Mapping[str, Tensor], max_tiles: int = _MAX_TILES) -> FirstLayer:
    """Draw at most `max_tiles` tiles, largest weights first, each scaled symmetrically around zero.

    A tile shows what its unit responds to: a photo that looks like the tile excites it most.
    """
    weights = _first_weights(network, state)
    side = weights.shape[-1]
    means = functional.adaptive_avg_pool2d(weights, min(side, _MAX_MEANS))
    strongest = means.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:max_tiles]
    return FirstLayer(
        png=_encode(_lay_out([_tile(unit) for unit in means[strongest]])),
        kind="neurons" if network.family == "mlp" else "filters",
        shown=len(strongest),
        units=len(weights),
        side=side,
        drawn=means.shape[-1],
        smoothness=_smoothness(means),
    )


def _first_weights(network: NetworkConfig, state: Mapping[str, Tensor]) -> Tensor:
    """Give the weights of the first layer, float32 `[units, channels, side, side]`."""
    name = next(name for name in _FIRST_LAYERS if name in state)
    weights = state[name].detach().float().cpu()
    return weights.view(-1, network.channels, network.size, network.size) if network.family == "mlp" else weights


def _smoothness(means: Tensor) -> float:
    """Correlate `[units, channels, side, side]` with their neighbours, right and below."""
    if means.shape[-1] == 1:
        return 1.0  # there are no neighbours
    across = (means[..., :, 1:] * means[..., :, :-1]).mean((1, 2, 3))
    down = (means[..., 1:, :] * means[..., :-1, :]).mean((1, 2, 3))
    energy = means.square().mean((1, 2, 3)).clamp(min=torch.finfo(torch.float32).tiny)
    return float(((across + down) / 2 / energy).mean())


def _tile(weights: Tensor) -> NDArray[np.uint8]:
    """Turn `[channels, side, side]` into pixels `[height, width, channels]`, 128 where the weight is 0."""
    peak = weights.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    pixels = (128 + 127 * weights / peak).round().to(torch.uint8).permute(1, 2, 0).numpy()
    times = math.ceil(_MIN_TILE / weights.shape[-1])  # a whole number, to keep every weight square
    return pixels.repeat(times, 0).repeat(times, 1)


def _lay_out(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Arrange tiles of one shape in rows; the last channel of the result `[height, width, channels + 1]` is opacity."""
    height, width, channels = tiles[0].shape
    columns = min(_COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    canvas = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, channels + 1), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + _GAP), index % columns * (width + _GAP)
        canvas[top : top + height, left : left + width, :channels] = tile
        canvas[top : top + height, left : left + width, channels] = 255
    return canvas


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    """Encode grayscale or colour, each with opacity, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
