"""Whether to train in bfloat16: asked of this machine, not assumed.

CPUs without the instructions emulate bfloat16 and are slower with it, and for some shapes PyTorch's emulation has
given gradients that were plainly wrong.
"""

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from whisker.training.progress import Progress

_STEPS = 4  # the first is not timed: it pays for set-up
_WORTHWHILE = 1.2  # times as fast, or it is not worth the rounding
_AGREEMENT = 0.9  # cosine between the gradients of both precisions


def autocast(device: str, *, bf16: bool) -> torch.autocast:
    """Return the context in which forward passes run."""
    return torch.autocast(device, torch.bfloat16, enabled=bf16)


def probe_bf16(network: nn.Module, x: Tensor, labels: Tensor, progress: Progress) -> bool:
    """Time forward and backward passes in float32 and bfloat16; choose bfloat16 if it is faster and right.

    `x` is a training batch float32 `[N, 3, H, W]`. Leaves the state of `network` as it was.
    """
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    exact_seconds, exact = _measure(network, x, labels, bf16=False)
    bf16_seconds, rounded = _measure(network, x, labels, bf16=True)
    network.load_state_dict(state)
    network.zero_grad()
    cosines = [functional.cosine_similarity(a, b, dim=0) for a, b in zip(exact, rounded, strict=True)]
    agreement = float(torch.stack(cosines).min())  # NaN if one of them is; Python's own min would pass over it
    speed_up = exact_seconds / bf16_seconds
    chosen = speed_up >= _WORTHWHILE and agreement >= _AGREEMENT  # false for NaN
    progress.say(
        f"Precision: {'bfloat16' if chosen else 'float32'} (bfloat16 is {speed_up:.2f} times as fast here, "
        f"its gradients agree to {agreement:.3f})."
    )
    return chosen


def _measure(network: nn.Module, x: Tensor, labels: Tensor, *, bf16: bool) -> tuple[float, list[Tensor]]:
    """Return the seconds of the fastest pass and the flattened gradient of each."""
    gradients, seconds = [], []
    network.train()
    for _ in range(_STEPS):
        network.zero_grad()
        start = time.perf_counter()
        with autocast(x.device.type, bf16=bf16):
            logits = network(x)
        functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        parameters = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        gradients.append(torch.cat(parameters).cpu())  # waits for a GPU, too
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), gradients
