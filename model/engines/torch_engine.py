"""Engines in PyTorch: plain, the reference for all others, and folded, in float32 or half precision."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whisker.model.answers.head import Head
from whisker.model.engines.base import Engine
from whisker.model.engines.graph import fold
from whisker.model.networks.base import Network


class TorchEngine(Engine):
    """Run the network as it is, in float32: always available, and the reference for every other engine."""

    def __init__(self, network: Network, device: str) -> None:
        """Copy `network`, so that the caller's stays unchanged."""
        super().__init__(head_of(network), device)
        self._network = copy.deepcopy(network).eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs

    @torch.inference_mode()
    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        x = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)  # [N, 3, H, W], channels last in memory
        with tf32(allowed=False):
            features, maps = self._network.embed_and_map(x.float() / 255)
        return to_arrays(features, maps if with_maps else None)


class FoldedEngine(Engine):
    """Run the network with folded batch-norms, in float32 or half precision."""

    def __init__(self, network: Network, device: str, dtype: torch.dtype, *, may_use_tf32: bool = False) -> None:
        """Copy `network`, so that the caller's stays unchanged."""
        super().__init__(head_of(network), device)
        self._dtype, self._may_use_tf32 = dtype, may_use_tf32
        self._normalization = copy.deepcopy(network.normalization).to(device)
        self._graph = fold(network).to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs

    @torch.inference_mode()
    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        features, maps = self._compute(torch.from_numpy(batch).to(self.device))
        return to_arrays(features, maps if with_maps else None)

    def _compute(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        # Normalised in float32, then rounded: rounding the pixels first would lose their last bits.
        x = self._normalization(pictures.permute(0, 3, 1, 2).float() / 255)  # [N, channels, H, W]
        features: Tensor
        maps: Tensor | None
        with tf32(allowed=self._may_use_tf32):
            features, maps = self._graph(x.to(self._dtype))
        return features.float(), maps


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Let an NVIDIA GPU round what float32 layers multiply to 11 bits within this context, or not.

    By default PyTorch lets it for convolutions: faster, but no reference that other engines could be held against.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = allowed
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def to_arrays(features: Tensor, maps: Tensor | None) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Move a device's results to the host, as float32."""
    return features.float().cpu().numpy(), None if maps is None else maps.float().contiguous().cpu().numpy()


def head_of(network: Network) -> Head:
    """Copy a network's last layer."""
    weight, bias = (values.detach().cpu().numpy().copy() for values in (network.fc.weight, network.fc.bias))
    return Head(weight, bias)
