"""Engines: the network's forward pass on one device, in plain PyTorch or compiled for the device at hand."""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.device import one_thread
from model.errors import InferenceError
from model.graph import fold
from model.network import Network


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a forward pass gives for N pictures: float32 on the CPU, logits `[N, classes]` and features `[N, F]`."""

    logits: Tensor
    features: Tensor


class Engine(ABC):
    """Run a network's forward pass on one device. Not thread-safe: one thread owns an engine.

    A compiled pass is made for one number of pictures, so there are few `batch_sizes`, the first of them 1. An engine
    computes the features; the last layer, which decides the answer and costs nothing, is always PyTorch's float32.
    """

    batch_sizes: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32)
    pads: ClassVar[bool] = False  # whether a batch is filled up to the next size, or cut into smaller sizes

    def __init__(self, network: Network, device: str) -> None:
        """Copy what is needed of `network`, so that the caller's stays as it is."""
        self.device = device
        self._fc = nn.Linear(network.fc.in_features, network.fc.out_features)
        self._fc.load_state_dict(network.fc.state_dict())

    @torch.inference_mode()
    def run(self, pixels: Sequence[NDArray[np.uint8]]) -> Outputs:
        """Compute logits and features of N pictures, each uint8 `[size, size, 3]` RGB.

        Raises `InferenceError` if a logit is NaN or infinite.
        """
        features = torch.cat([self._embed(np.stack(batch)) for batch in self._batches(pixels)])
        with one_thread():
            logits = self._fc(features)
            if not torch.isfinite(logits).all():
                raise InferenceError("The network's answer is not a finite number.")
        return Outputs(logits, features)

    def warm_up(self, size: int) -> dict[int, float]:
        """Run every batch size, so that the first request does not pay for it; return the seconds each then takes."""
        seconds = {}
        for batch in self.batch_sizes:
            pictures = [np.zeros((size, size, 3), np.uint8)] * batch
            self.run(pictures)
            started = time.perf_counter()
            self.run(pictures)
            seconds[batch] = time.perf_counter() - started
        return seconds

    @abstractmethod
    def _embed(self, batch: NDArray[np.uint8]) -> Tensor:
        """Turn uint8 `[N, size, size, 3]` into features, float32 `[N, F]` on the CPU."""

    def _batches(self, pixels: Sequence[NDArray[np.uint8]]) -> Iterator[Sequence[NDArray[np.uint8]]]:
        start = 0
        while start < len(pixels):
            left = len(pixels) - start
            fitting = self.batch_sizes if self.pads else [size for size in self.batch_sizes if size <= left]
            yield pixels[start : start + fitting[-1]]
            start += fitting[-1]


class TorchEngine(Engine):
    """Run the network as it is, in float32: always there, and the measure of every other engine's answers."""

    def __init__(self, network: Network, device: str) -> None:
        super().__init__(network, device)
        self._network = copy.deepcopy(network).eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs

    def _embed(self, batch: NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)  # [N, 3, H, W], channels last in memory
        features: Tensor = self._network.embed(x.float() / 255)
        return features.cpu()


class FoldedEngine(Engine):
    """Run PyTorch without batch-norms, in float32 or half precision."""

    def __init__(self, network: Network, device: str, dtype: torch.dtype) -> None:
        super().__init__(network, device)
        self._dtype = dtype
        self._normalization = copy.deepcopy(network.normalization).to(device)
        self._graph = fold(network).to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs

    def _embed(self, batch: NDArray[np.uint8]) -> Tensor:
        return self._features(torch.from_numpy(batch).to(self.device)).cpu()

    def _features(self, pictures: Tensor) -> Tensor:
        # Normalised in float32, then rounded: rounding the pixels first would lose their last bits.
        x = self._normalization(pictures.permute(0, 3, 1, 2).float() / 255)  # [N, channels, H, W]
        features: Tensor = self._graph(x.to(self._dtype))
        return features.float()
