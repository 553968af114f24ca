"""Engines: the network's forward pass on one device, in plain PyTorch or compiled for the device at hand.

This module is what all engines share; it needs no PyTorch.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import Outputs
from whisker.model.answers.head import Head
from whisker.model.onnx.config import GraphConfig


@dataclass(frozen=True, slots=True)
class OpenVinoNode:
    """One operation of an OpenVINO model, as plain data.

    `inputs` names, for each, the place of an earlier node and the number of its output; only a constant has a `value`.
    """

    kind: str
    opset: str  # the set of operations that has this kind of it
    inputs: tuple[tuple[int, int], ...]
    attributes: Mapping[str, Any]
    value: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class OpenVinoModel:
    """A forward pass up to the features, in OpenVINO's operations."""

    nodes: tuple[OpenVinoNode, ...]


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A forward pass up to what the last layer takes, as the bytes of an ONNX file of another program."""

    graph: bytes
    config: GraphConfig


Prepare = Callable[[Callable[[], Any]], Any]  # is given a function that takes long, and returns what that returns
Compiled = Mapping[int, bytes | NDArray[np.uint8]]  # what was compiled for each batch size, in a compiler's own format


class Engine(ABC):
    """Run a network's forward pass on one device. Not thread-safe: one thread owns an engine.

    A compiled pass is made for one number of pictures, so there are few `batch_sizes`, the first of them 1. An engine
    computes the features; the last layer, which decides the answer and costs nothing, is float32 for all of them.
    """

    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    pads: bool = False  # whether a batch is filled up to the next size, or cut into smaller sizes

    def __init__(self, head: Head, device: str) -> None:
        self.head = head
        self.device = device

    def run(self, pixels: Sequence[NDArray[np.uint8]], *, with_maps: bool = False) -> Outputs:
        """Compute logits and features of N pictures, each uint8 `[size, size, 3]` RGB, with their maps if asked.

        Raises `InferenceError` if a logit is NaN or infinite.
        """
        parts = [self._embed(np.stack(batch), with_maps=with_maps) for batch in self._batches(pixels)]
        features = np.concatenate([part for part, _ in parts])
        maps = [part for _, part in parts if part is not None]
        return Outputs(self.head.logits(features), features, np.concatenate(maps) if maps else None)

    def warm_up(self, size: int) -> dict[int, float]:
        """Run every batch size, so that the first request is fast; return the seconds that each size then takes."""
        seconds = {}
        for batch in self.batch_sizes:
            pictures = [np.zeros((size, size, 3), np.uint8)] * batch
            self.run(pictures)
            started = time.perf_counter()
            self.run(pictures)
            seconds[batch] = time.perf_counter() - started
        return seconds

    def warm_up_features(self, size: int) -> None:
        """Run the pass for one picture without the last layer, which an engine of another thread may share."""
        self._embed(np.zeros((1, size, size, 3), np.uint8), with_maps=False)

    def compiled(self) -> dict[int, bytes]:
        """Write what was compiled for each batch size, for other processes on this machine; most engines cannot."""
        return {}

    def with_threads(self, threads: int, prepare: Prepare) -> "Engine | None":
        """Open the same pass for one picture, computed by so many threads; most engines have no other one."""
        del threads, prepare
        return None

    @abstractmethod
    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Turn uint8 `[N, size, size, 3]` into features, float32 `[N, F]`, and, if asked, maps `[N, F, h, w]`."""

    def _batches(self, pixels: Sequence[NDArray[np.uint8]]) -> Iterator[Sequence[NDArray[np.uint8]]]:
        start = 0
        while start < len(pixels):
            left = len(pixels) - start
            fitting = self.batch_sizes if self.pads else [size for size in self.batch_sizes if size <= left]
            yield pixels[start : start + fitting[-1]]
            start += fitting[-1]
