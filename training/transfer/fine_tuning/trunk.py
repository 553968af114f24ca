"""The trunk: the first parts of a network, which fine-tuning leaves as they are, and what they make of the photos.

Its outputs are computed once, for a few augmented views of each photo; fine-tuning then costs a fraction of what it
would cost with the whole network.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whisker.model.engines.base import Engine
from whisker.model.networks.base import Network
from whisker.training.data.dataset import Split
from whisker.training.fit.augmentation import Augmentation
from whisker.training.progress import Progress
from whisker.training.transfer.features import open_engine

_BATCH = 32


class Trunk(Network):
    """The first parts of another network, with its weights; their output is the feature map."""

    def __init__(self, network: Network, parts: int, channels: int) -> None:
        super().__init__()
        self.normalization = network.normalization
        self.first = nn.ModuleList(network.parts()[1:parts])  # without the normalisation, which comes first
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 2)  # of no use: an engine wants one

    def parts(self) -> Sequence[nn.Module]:
        return self.normalization, *self.first


@dataclass(frozen=True, slots=True)
class Crops:
    """Random crops, of another colour and half of them mirrored, of `photos`, whose pixels are larger than `size`."""

    photos: Split
    augmentation: Augmentation
    size: int
    seed: int

    def cut(self, view: int, picked: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Cut a view of the photos at some positions, the same for the same arguments: uint8 `[n, size, size, 3]`."""
        rng = np.random.default_rng((self.seed, 8, view, int(picked[0])))
        rows = self.photos.rows[picked]
        flipped = rng.random(len(rows)) < 0.5
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        x = self.augmentation(self.photos.pixels, rows, flipped, self.size, generator)  # [n, 3, size, size] in 0..1
        return (x * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


class Activations(ABC):
    """The trunk's outputs for `photos` photos in `views` augmented views."""

    views: int
    photos: int

    @abstractmethod
    def plain(self, rows: NDArray[np.int64]) -> Tensor:
        """Give the outputs for photos as they are served: float32 `[n, C, h, w]`."""

    @abstractmethod
    def pick(self, views: NDArray[np.int64], rows: NDArray[np.int64], step: int) -> Tensor:
        """Give one view of each photo for a step of the training: float32 `[n, C, h, w]`, channels last."""


class StoredActivations(Activations):
    """Outputs that are in memory: float16 `[V, N, C, h, w]`, the first two views of which are plain."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.views, self.photos = values.shape[:2]

    def plain(self, rows: NDArray[np.int64]) -> Tensor:
        return self.values[0, torch.from_numpy(rows)].float()

    def pick(self, views: NDArray[np.int64], rows: NDArray[np.int64], step: int) -> Tensor:
        del step
        picked = self.values[torch.from_numpy(views), torch.from_numpy(rows)].float()
        return picked.contiguous(memory_format=torch.channels_last)


class ComputedActivations(Activations):
    """Outputs that are computed when they are asked for, as those of many photos fill the memory; each crop is new."""

    def __init__(self, engine: Engine, served: Split, crops: Crops) -> None:
        self._engine, self._served, self._crops = engine, served, crops
        self.views, self.photos = 1, len(served.rows)

    def plain(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(_maps(self._engine, self._served.pixels[self._served.rows[rows]]))

    def pick(self, views: NDArray[np.int64], rows: NDArray[np.int64], step: int) -> Tensor:
        del views
        maps = torch.from_numpy(_maps(self._engine, self._crops.cut(step, rows)))
        return maps.contiguous(memory_format=torch.channels_last)


def _maps(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    maps = engine.run(list(pixels), with_maps=True).maps
    assert maps is not None  # noqa: S101 - a trunk's output is its map
    return maps


def trunk_shape(network: Network, parts: int, size: int) -> tuple[int, int, int]:
    """Compute the shape of the output of the first `parts` of a network for a picture: channels, height, width."""
    with torch.inference_mode():
        x = torch.zeros(1, 3, size, size)
        for part in network.parts()[:parts]:
            x = part(x)
    _, channels, height, width = x.shape
    return channels, height, width


def open_trunk(network: Network, parts: int, size: int, device: str) -> Engine:
    """Open the fastest engine for the first `parts` of a network."""
    channels, _, _ = trunk_shape(network, parts, size)
    return open_engine(Trunk(network, parts, channels).eval(), size, device)


def compute_activations(
    engine: Engine,
    served: Split,
    crops: Crops | None,
    *,
    views: int,
    progress: Progress,
) -> StoredActivations:
    """Run a trunk over views of N photos: as they are served, mirrored, and `views - 2` random `crops`."""
    values: Tensor | None = None
    with progress.task("Computing what stays frozen", views * len(served.rows)) as task:
        for view in range(views):
            for start in range(0, len(served.rows), _BATCH):
                picked = np.arange(start, min(start + _BATCH, len(served.rows)))
                maps = _maps(engine, _pixels(served, crops, view, picked))
                if values is None:
                    values = torch.empty((views, len(served.rows), *maps.shape[1:]), dtype=torch.float16)
                values[view, start : start + _BATCH] = torch.from_numpy(maps).half()
                task.advance(len(picked))
    assert values is not None  # noqa: S101 - there are photos
    return StoredActivations(values)


def _pixels(served: Split, crops: Crops | None, view: int, picked: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Give a view of some photos: uint8 `[n, size, size, 3]`."""
    if view > 1 and crops is not None:
        return crops.cut(view, picked)
    pixels = served.pixels[served.rows[picked]]
    return np.ascontiguousarray(pixels[:, :, ::-1]) if view == 1 else pixels
