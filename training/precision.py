"""Whether to train in bfloat16: asked of this machine, not assumed.

CPUs without the instructions emulate bfloat16 and are slower with it than with float32.
"""

import time

import torch
from torch import nn
from torch.nn import functional

from training.progress import Progress

_STEPS = 3
_WORTHWHILE = 1.1  # times as fast, or it is not worth the rounding
_LOSS_TOLERANCE = 0.02  # relative


def autocast(device: str, *, bf16: bool) -> torch.autocast:
    """Return the context in which forward passes run."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16)


def probe_bf16(network: nn.Module, device: str, batch_size: int, size: int, progress: Progress) -> bool:
    """Time a few training steps in float32 and bfloat16; choose bfloat16 if it is faster and its loss agrees.

    Leaves weights and batch-norm statistics of `network` as they were.
    """
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((batch_size, 3, size, size), generator=generator).to(device)
    x = x.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch_size, device=device) % 2
    seconds, losses = {}, {}
    network.train()
    for bf16 in (False, True):
        seconds[bf16], losses[bf16] = _time_steps(network, x, labels, device, bf16=bf16)
        network.load_state_dict(state)
    speed_up = seconds[False] / seconds[True]
    agrees = abs(losses[True] - losses[False]) <= _LOSS_TOLERANCE * abs(losses[False])
    chosen = speed_up >= _WORTHWHILE and agrees
    progress.say(
        f"Precision: {'bfloat16' if chosen else 'float32'} (bfloat16 is {speed_up:.2f} times as fast here"
        f"{'' if agrees else ' and its loss differs'})."
    )
    return chosen


def _time_steps(
    network: nn.Module, x: torch.Tensor, labels: torch.Tensor, device: str, *, bf16: bool
) -> tuple[float, float]:
    """Return the seconds of the fastest step and the first step's loss."""
    losses, seconds = [], []
    for _ in range(_STEPS):
        start = time.perf_counter()
        with autocast(device, bf16=bf16):
            loss = functional.cross_entropy(network(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))  # waits for a GPU, too
        network.zero_grad()
        seconds.append(time.perf_counter() - start)
    return min(seconds), losses[0]
