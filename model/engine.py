"""The forward pass for the device at hand."""

import copy
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.errors import DeviceError, InferenceError

BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # oneDNN keeps a primitive per input shape: few shapes, all warmed
_CGROUP_QUOTAS = (  # (quota file, period file or None when both stand in one): version 2, then version 1
    (Path("/sys/fs/cgroup/cpu.max"), None),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)


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


def available_cores() -> int:
    """Count the cores this process may use: the least of the machine's, its affinity and its cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_cgroup_cores() or cores)))


def use_available_cores() -> None:
    """Let PyTorch compute with as many threads as this process may use cores; by itself it overlooks quotas."""
    torch.set_num_threads(available_cores())


def _cgroup_cores() -> float | None:
    for quota_file, period_file in _CGROUP_QUOTAS:
        try:
            words = quota_file.read_text().split() + (period_file.read_text().split() if period_file else [])
            quota, period = float(words[0]), float(words[1])  # "max" where there is no limit
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


class Engine:
    """Run a network's forward pass on one device. Not thread-safe: one thread owns an engine."""

    def __init__(self, network: nn.Module, device: str) -> None:
        """Copy `network`, so that the caller's stays as it is."""
        self.device = device
        self._network = copy.deepcopy(network).eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs

    @torch.inference_mode()
    def logits(self, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Compute float32 logits `[N, classes]`, on the CPU, of N pictures uint8 `[size, size, 3]` RGB.

        Raises `InferenceError` if a logit is NaN or infinite.
        """
        rows = [self._forward(batch) for batch in _batches(pixels)]
        logits = torch.cat(rows)
        if not torch.isfinite(logits).all():
            raise InferenceError("The network's answer is not a finite number.")
        return logits

    def warm_up(self, size: int) -> None:
        """Run every batch size once, so that the first request does not pay for it."""
        for batch in BATCH_SIZES:
            self.logits([np.zeros((size, size, 3), np.uint8)] * batch)

    def _forward(self, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
        padded = next(size for size in BATCH_SIZES if size >= len(pixels))
        batch = np.zeros((padded, *pixels[0].shape), np.uint8)
        np.stack(pixels, out=batch[: len(pixels)])
        x = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)  # [N, H, W, 3] -> [N, 3, H, W], channels last
        logits: Tensor = self._network(x.float() / 255)
        return logits[: len(pixels)].float().cpu()


def _batches(pixels: Sequence[NDArray[np.uint8]]) -> list[Sequence[NDArray[np.uint8]]]:
    largest = BATCH_SIZES[-1]
    return [pixels[start : start + largest] for start in range(0, len(pixels), largest)]
