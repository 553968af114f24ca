"""The forward pass for the device at hand."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.cores import available_cores
from model.errors import DeviceError, InferenceError
from model.network import Network

BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # oneDNN keeps a primitive per input shape: few shapes, all warmed


def resolve_device(name: str) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that is there; raise `DeviceError` if it is not."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return name
    kind, _, index = name.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise DeviceError(f"The device is auto, cpu, cuda or cuda:N, not {name!r}.")
    if int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"The device {name} is not available: this PyTorch sees {torch.cuda.device_count()} CUDA GPUs."
        )
    return name


def use_available_cores(processes: int = 1) -> None:
    """Let PyTorch compute with as many threads as this process may use cores; by itself it overlooks quotas.

    `processes` is how many share them.
    """
    torch.set_num_threads(max(1, available_cores() // processes))


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a forward pass gives for N pictures: float32 on the CPU, logits `[N, classes]` and features `[N, F]`."""

    logits: Tensor
    features: Tensor


class Engine:
    """Run a network's forward pass on one device. Not thread-safe: one thread owns an engine."""

    def __init__(self, network: Network, device: str) -> None:
        """Copy `network`, so that the caller's stays as it is."""
        self.device = device
        self._network = copy.deepcopy(network).eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs

    @torch.inference_mode()
    def run(self, pixels: Sequence[NDArray[np.uint8]]) -> Outputs:
        """Compute logits and features of N pictures, each uint8 `[size, size, 3]` RGB.

        Raises `InferenceError` if a logit is NaN or infinite.
        """
        features = torch.cat([self._embed(batch) for batch in _batches(pixels)])
        logits = self._network.fc(features)
        if not torch.isfinite(logits).all():
            raise InferenceError("The network's answer is not a finite number.")
        return Outputs(logits.float().cpu(), features.float().cpu())

    def warm_up(self, size: int) -> None:
        """Run every batch size once, so that the first request does not pay for it."""
        for batch in BATCH_SIZES:
            self.run([np.zeros((size, size, 3), np.uint8)] * batch)

    def _embed(self, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
        padded = next(size for size in BATCH_SIZES if size >= len(pixels))
        batch = np.zeros((padded, *pixels[0].shape), np.uint8)
        np.stack(pixels, out=batch[: len(pixels)])
        x = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)  # [N, H, W, 3] -> [N, 3, H, W], channels last
        features: Tensor = self._network.embed(x.float() / 255)
        return features[: len(pixels)]


def _batches(pixels: Sequence[NDArray[np.uint8]]) -> list[Sequence[NDArray[np.uint8]]]:
    largest = BATCH_SIZES[-1]
    return [pixels[start : start + largest] for start in range(0, len(pixels), largest)]
