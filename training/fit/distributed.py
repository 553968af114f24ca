"""One training in several processes, started by `torchrun`: PyTorch's own data parallelism, and nothing but it.

Each process computes the gradients of its share of every batch, and PyTorch averages them (Li et al. 2020). The first
process, the leader, alone prints, saves and writes. Caches and checkpoint must lie where all processes see them.
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
_PATIENCE = timedelta(hours=12)  # others wait this long while the leader decodes photos


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among the `size` that train together; by itself it is the whole world."""

    rank: int = 0
    size: int = 1
    local_size: int = 1  # processes on this machine, which share its cores

    @property
    def is_main(self) -> bool:
        """Tell whether this process is the one that prints, saves and writes."""
        return self.rank == 0

    def share(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take this process's part of a batch."""
        return batch[self.rank :: self.size]

    def parallel(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that a backward pass averages gradients over all processes."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)

    def broadcast(self, choose: Callable[[], Choice]) -> Choice:
        """Let the leader choose, and give its choice to every process."""
        if self.size == 1:
            return choose()
        choices = [choose() if self.is_main else None]
        distributed.broadcast_object_list(choices, src=0)
        return choices[0]  # type: ignore[return-value]  # the leader's

    def any(self, flag: bool, device: torch.device) -> bool:  # noqa: FBT001 - the value itself
        """Tell whether the flag is set in any process."""
        if self.size == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.int32, device=device)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        return bool(flags.item())

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the leader through the block before all others."""
        if self.size > 1 and not self.is_main:
            distributed.barrier()
        yield
        if self.size > 1 and self.is_main:
            distributed.barrier()


SINGLE_PROCESS = World()


@contextmanager
def joined_world(device: str) -> Iterator[tuple[World, str]]:
    """Join the other processes that `torchrun` has started; yield this one's place, and its own device.

    Without `torchrun` this process is alone. Processes on CUDA take a GPU each and speak NCCL, others gloo. `device` is
    as in `resolve_device`, which raises.
    """
    device = resolve_device(device)
    if not distributed.is_torchelastic_launched():
        yield World(), device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
    try:
        local_size = int(os.environ["LOCAL_WORLD_SIZE"])
        yield World(distributed.get_rank(), distributed.get_world_size(), local_size), device
    finally:
        distributed.destroy_process_group()
