"""The device to compute on, and the number of threads."""

import torch

from whisker.model.cores import available_cores
from whisker.model.errors import DeviceError


def resolve_device(name: str) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into an available device, or raise `DeviceError`."""
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
    """Let PyTorch use as many threads as this process may use cores; PyTorch itself ignores cgroup quotas.

    `processes` is how many share them.
    """
    torch.set_num_threads(max(1, available_cores() // processes))
