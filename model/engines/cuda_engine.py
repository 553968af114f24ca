"""The forward pass on an NVIDIA GPU, recorded once for each batch size and replayed: one launch for all layers."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whisker.model.engines.torch_engine import FoldedEngine, to_arrays
from whisker.model.networks.base import Network

_WARM_UP_PASSES = 3  # cuDNN and the allocator settle before a recording, as PyTorch's notes on CUDA graphs ask


@dataclass(frozen=True, slots=True)
class _Recording:
    """A CUDA graph, and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    pinned: Tensor  # uint8 [N, size, size, 3] on the host, where the GPU can fetch it by itself
    pictures: Tensor  # the same on the device
    features: Tensor  # float32 [N, F] on the device
    maps: Tensor | None  # [N, F, h, w] on the device


class CudaGraphEngine(FoldedEngine):
    """Run on a GPU in half precision; a batch is filled up to the next size, which costs a GPU next to nothing."""

    pads = True

    def __init__(self, network: Network, device: str, size: int) -> None:
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        super().__init__(network, device, dtype)
        with torch.inference_mode(), torch.cuda.device(device):
            self._recordings = {count: self._record(count, size) for count in self.batch_sizes}

    def _record(self, count: int, size: int) -> _Recording:
        pinned = torch.zeros((count, size, size, 3), dtype=torch.uint8, pin_memory=True)
        pictures = pinned.to(self.device)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_PASSES):
                self._compute(pictures)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            features, maps = self._compute(pictures)
        return _Recording(graph, pinned, pictures, features, maps)

    @torch.inference_mode()
    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        count = len(batch)
        recording = self._recordings[next(size for size in self.batch_sizes if size >= count)]
        recording.pinned[:count].copy_(torch.from_numpy(batch))
        recording.pictures.copy_(recording.pinned, non_blocking=True)
        recording.graph.replay()
        maps = recording.maps[:count] if with_maps and recording.maps is not None else None
        return to_arrays(recording.features[:count], maps)  # waits for the GPU
