"""The forward pass on an NVIDIA GPU, recorded once for each batch size and replayed: one launch for all layers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whisker.model.engines.torch_engine import FoldedEngine, to_arrays
from whisker.model.networks.base import Network

_WARM_UP_PASSES = 3  # cuDNN and the allocator settle before a recording, as PyTorch's notes on CUDA graphs ask
_COMPUTES_IN_BFLOAT16 = (8, 0)  # the compute capability of Ampere; older GPUs only emulate it

Compute = Callable[[], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded pass: `replay` computes it again, from the memory that it read into the memory that it wrote."""

    replay: Callable[[], object]
    features: Tensor  # float32 [N, F] on the device
    maps: Tensor | None  # [N, F, h, w] on the device


Record = Callable[[Compute, str], Recording]


def record_graph(compute: Compute, device: str) -> Recording:
    """Record what the device computes as a CUDA graph."""
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_PASSES):
                compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            features, maps = compute()
    return Recording(graph.replay, features, maps)


def half_precision(capability: tuple[int, int]) -> torch.dtype:
    """Choose bfloat16 for GPUs that compute in it, by their compute capability, and float16 for older ones."""
    return torch.bfloat16 if capability >= _COMPUTES_IN_BFLOAT16 else torch.float16


@dataclass(frozen=True, slots=True)
class _Pass:
    """The recorded pass for one batch size, and where its pictures go."""

    pinned: Tensor  # uint8 [N, size, size, 3] on the host, where the GPU can fetch it by itself
    pictures: Tensor  # the same on the device
    recording: Recording


class CudaGraphEngine(FoldedEngine):
    """Run on a GPU; a batch is filled up to the next size, which costs a GPU next to nothing.

    `record` makes the recordings, one for each batch size.
    """

    pads = True

    def __init__(
        self,
        network: Network,
        device: str,
        dtype: torch.dtype,
        size: int,
        *,
        may_use_tf32: bool = False,
        record: Record = record_graph,
    ) -> None:
        """Record the passes for pictures of `size` pixels a side; `network` stays unchanged."""
        super().__init__(network, device, dtype, may_use_tf32=may_use_tf32)
        with torch.inference_mode():
            self._passes = {count: self._prepare(count, size, record) for count in self.batch_sizes}

    def _prepare(self, count: int, size: int, record: Record) -> _Pass:
        pinned = torch.zeros((count, size, size, 3), dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        pictures = pinned.to(self.device)
        return _Pass(pinned, pictures, record(lambda: self._compute(pictures), self.device))

    @torch.inference_mode()
    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        count = len(batch)
        prepared = self._passes[next(size for size in self.batch_sizes if size >= count)]
        prepared.pinned[:count].copy_(torch.from_numpy(batch))
        prepared.pictures.copy_(prepared.pinned, non_blocking=True)
        recording = prepared.recording
        recording.replay()
        maps = recording.maps[:count] if with_maps and recording.maps is not None else None
        return to_arrays(recording.features[:count], maps)  # waits for the GPU
