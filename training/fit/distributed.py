"""One training in several processes, started by `torchrun`, by PyTorch's data parallelism.

Each process computes the gradients of its share of every batch, and PyTorch averages them (Li et al. 2020). Only the
main process, rank 0, prints, saves and writes. Caches and checkpoint must be on a file system that all processes share.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn

from whisker.model.engines.device import resolve_device

Choice = TypeVar("Choice")
_TIMEOUT = timedelta(hours=12)  # for the others, while the main process decodes photos


@dataclass(frozen=True, slots=True)
class World:
    """This process's rank among the `size` that train together; the default is a single process."""

    rank: int = 0
    size: int = 1
    local_size: int = 1  # processes on this machine, which share its cores

    @property
    def is_main(self) -> bool:
        """Tell whether this is the process that prints, saves and writes."""
        return self.rank == 0

    def share(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take this process's part of a batch."""
        return batch[self.rank :: self.size]

    def parallel(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that a backward pass averages gradients over all processes."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)

    def broadcast(self, choose: Callable[[], Choice]) -> Choice:
        """Let the main process choose, and return its choice in every process."""
        if self.size == 1:
            return choose()
        choices = [choose() if self.is_main else None]
        distributed.broadcast_object_list(choices, src=0)
        return choices[0]  # type: ignore[return-value]  # the main process's

    def any(self, flag: bool, device: torch.device) -> bool:  # noqa: FBT001 - the value itself
        """Tell, in every process, whether the flag is set in any of them."""
        if self.size == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.int32, device=device)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        return bool(flags.item())

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the main process first, then in all others."""
        if self.size > 1 and not self.is_main:
            distributed.barrier()
        yield
        if self.size > 1 and self.is_main:
            distributed.barrier()


SINGLE_PROCESS = World()


@contextmanager
def joined_world(device: str) -> Iterator[tuple[World, str]]:
    """Join the other processes that `torchrun` has started; yield this one's world and device.

    Without `torchrun`, it is a single process. On CUDA each process takes one GPU and uses NCCL; otherwise it uses
    gloo. `device` is as in `resolve_device`, which may raise.
    """
    device = resolve_device(device)
    if not distributed.is_torchelastic_launched():
        yield World(), device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_TIMEOUT)
    try:
        local_size = int(os.environ["LOCAL_WORLD_SIZE"])
        yield World(distributed.get_rank(), distributed.get_world_size(), local_size), device
    finally:
        distributed.destroy_process_group()
