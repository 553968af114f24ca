"""The device to compute on, and the number of threads."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch

from whisker.model.cores import available_cores
from whisker.model.errors import DeviceError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cuda:
    """What PyTorch tells of NVIDIA GPUs: the CUDA that it was `built_for`, if any, how many it can use, its warnings.

    It warns of a GPU whose driver it cannot use, and then counts none.
    """

    built_for: str | None
    gpus: int
    warnings: tuple[str, ...] = ()

    @property
    def absence(self) -> str:
        """Say why there are no GPUs, or no more of them."""
        if self.gpus:
            return f"this PyTorch sees {self.gpus} CUDA GPU{'' if self.gpus == 1 else 's'}, counted from cuda:0"
        if self.built_for is None:
            return f"PyTorch {torch.__version__} was built without CUDA, so install a build for NVIDIA GPUs"
        if self.warnings:
            return self.warnings[0].strip().rstrip(".")
        return (
            f"PyTorch, which was built for CUDA {self.built_for}, finds no NVIDIA GPU: "
            "`nvidia-smi` must list one here, and a container must be given it"
        )


@cache  # PyTorch warns once only
def find_cuda() -> Cuda:
    """Ask PyTorch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Cuda(torch.version.cuda, gpus, tuple(str(it.message) for it in caught))


def resolve_device(name: str, find: Callable[[], Cuda] = find_cuda) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into an available device, or raise `DeviceError`.

    Where PyTorch was built for GPUs, it is logged that `auto` is the CPU: as a warning if there is a GPU after all.
    """
    if name == "cpu":
        return name
    kind, _, index = name.partition(":")
    if name != "auto" and (kind != "cuda" or (index and not index.isdecimal())):
        raise DeviceError(f"The device is auto, cpu, cuda or cuda:N, not {name!r}.")
    cuda = find()
    if name == "auto":
        if not cuda.gpus and cuda.built_for is not None:
            level = logging.WARNING if cuda.warnings else logging.INFO
            logger.log(level, "No GPU is used", extra={"reason": cuda.absence})
        return "cuda" if cuda.gpus else "cpu"
    if int(index or 0) >= cuda.gpus:
        raise DeviceError(f"The device {name} is not available: {cuda.absence}.")
    return name


@contextmanager
def gpu_errors_named() -> Iterator[None]:
    """Raise `DeviceError` for what PyTorch raises within this context when a GPU fails."""
    try:
        yield
    except torch.OutOfMemoryError as exc:
        raise DeviceError(f"The GPU's memory is full: free some, or start fewer workers ({_first_line(exc)}).") from exc
    except torch.AcceleratorError as exc:
        if "no kernel image" in str(exc):
            raise DeviceError(
                f"PyTorch {torch.__version__} was not built for this GPU: install a build that supports it, or use the "
                "device cpu."
            ) from exc
        raise DeviceError(f"The GPU has failed: {_first_line(exc)}.") from exc


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0].rstrip(".")


def use_available_cores(processes: int = 1) -> None:
    """Let PyTorch use as many threads as this process may use cores; PyTorch itself ignores cgroup quotas.

    `processes` is how many share them.
    """
    torch.set_num_threads(max(1, available_cores() // processes))
