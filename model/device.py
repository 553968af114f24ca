"""The device at hand: which one computes, and with how many cores."""

import math
import os
from pathlib import Path

import torch

from model.errors import DeviceError

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


def use_available_cores(processes: int = 1) -> None:
    """Let PyTorch compute with as many threads as this process may use cores; by itself it overlooks quotas.

    `processes` is how many share them.
    """
    torch.set_num_threads(max(1, available_cores() // processes))


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
