"""Whether to train in bfloat16, by a probe of this machine.

CPUs without bfloat16 instructions emulate them, which is slower; for some shapes, PyTorch's emulation has given wrong
gradients.
"""

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from whisker.training.progress import Progress

_PASSES = 4  # the first is not timed: it includes set-up
_MIN_AGREEMENT = 0.9  # cosine between the gradients of both precisions


def autocast(device: str, *, bf16: bool) -> torch.autocast:
    """Return the context for forward passes, in bfloat16 or float32."""
    return torch.autocast(device, torch.bfloat16, enabled=bf16)


def probe_bf16(network: nn.Module, x: Tensor, labels: Tensor, progress: Progress, *, min_speed_up: float = 1.2) -> bool:
    """Time forward and backward passes in float32 and bfloat16; choose bfloat16 if it is faster and accurate.

    `x` is a training batch, float32 `[N, 3, H, W]`. Unless bfloat16 is `min_speed_up` times as fast, it is not worth
    the rounding. Leaves the state of `network` unchanged.
    """
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    exact_seconds, exact = _measure(network, x, labels, bf16=False)
    bf16_seconds, rounded = _measure(network, x, labels, bf16=True)
    network.load_state_dict(state)
    network.zero_grad()
    cosines = [functional.cosine_similarity(a, b, dim=0) for a, b in zip(exact, rounded, strict=True)]
    agreement = float(torch.stack(cosines).min())  # NaN if any of them is; Python's min would ignore it
    speed_up = exact_seconds / bf16_seconds
    chosen = speed_up >= min_speed_up and agreement >= _MIN_AGREEMENT  # false for NaN
    progress.say(
        f"Precision: {'bfloat16' if chosen else 'float32'}. bfloat16 is {speed_up:.2f} times as fast here, and its "
        f"gradients agree to {agreement:.3f}; it is used from {min_speed_up} times and {_MIN_AGREEMENT} on."
    )
    return chosen


def _measure(network: nn.Module, x: Tensor, labels: Tensor, *, bf16: bool) -> tuple[float, list[Tensor]]:
    """Return the seconds of the fastest pass, and the flattened gradients of every pass."""
    gradients, seconds = [], []
    network.train()
    for _ in range(_PASSES):
        network.zero_grad()
        start = time.perf_counter()
        with autocast(x.device.type, bf16=bf16):
            logits = network(x)
        functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        parameters = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        gradients.append(torch.cat(parameters).cpu())  # also waits for a GPU
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), gradients
