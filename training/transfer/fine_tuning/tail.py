"""Fine-tuning: the last parts of a network learn on, from a linear probe, while the first stay frozen."""

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whisker.model.answers.head import Head
from whisker.model.networks.base import Network
from whisker.training.config import FineTuning
from whisker.training.events.event import Epoch, Step
from whisker.training.progress import Task
from whisker.training.transfer.fine_tuning.saved import SavedTuning
from whisker.training.transfer.fine_tuning.trunk import Activations

_BATCH = 64


class Tail(nn.Module):
    """The last parts of a network, from the trunk's output to logits."""

    def __init__(self, network: Network, cut: int) -> None:
        super().__init__()
        self.parts = nn.Sequential(*copy.deepcopy(list(network.parts()[cut:])))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.after_pooling = nn.Sequential(*copy.deepcopy(list(network.after_pooling())))
        self.fc = copy.deepcopy(network.fc)

    def write_to(self, network: Network, cut: int) -> None:
        """Copy the weights into the network that the tail was made of."""
        nn.Sequential(*network.parts()[cut:]).load_state_dict(self.parts.state_dict())
        nn.Sequential(*network.after_pooling()).load_state_dict(self.after_pooling.state_dict())
        network.fc.load_state_dict(self.fc.state_dict())

    def embed(self, x: Tensor) -> Tensor:
        """`[N, C, h, w]` -> features `[N, F]`."""
        features: Tensor = self.after_pooling(self.avgpool(self.parts(x))).flatten(1)
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.embed(x))
        return logits


def set_head(layer: nn.Linear, head: Head) -> None:
    """Copy a probe into a network's last layer, which gets as many outputs."""
    layer.out_features = len(head.bias)
    layer.weight = nn.Parameter(torch.from_numpy(head.weight.copy()))
    layer.bias = nn.Parameter(torch.from_numpy(head.bias.copy()))


def fine_tune(
    tail: Tail,
    activations: Activations,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    recipe: FineTuning,
    *,
    epochs: int,
    seed: int,
    device: str,
    saved: SavedTuning | None = None,
    task: Task | None = None,
) -> Tail:
    """Train a copy of `tail` on the photos `rows` of `activations`, with their `labels` `[n]`.

    Batch-norms keep their statistics: those of a few photos are worse than those of ImageNet. With `saved`, an
    interrupted training goes on after its last whole epoch.
    """
    tail = copy.deepcopy(tail).to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(tail.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
    batches = math.ceil(len(rows) / recipe.batch_size)
    losses = [*saved.load(tail, optimizer)] if saved else []  # the mean of each epoch
    first = len(losses)
    if task is not None:
        task.advance(first * len(rows), photos=0)
        for number, mean in enumerate(losses, 1):
            task.tell(_ended(number, epochs, mean, recipe))
    for epoch in range(first, epochs):
        summed = torch.zeros(())
        rng = np.random.default_rng((seed, 9, epoch))
        views = rng.integers(0, activations.views, len(rows))
        for index, batch in enumerate(np.array_split(rng.permutation(len(rows)), batches)):
            step = epoch * batches + index
            rate = recipe.learning_rate * _schedule(step, epochs * batches, recipe.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            logits = tail(activations.pick(views[batch], rows[batch], step).to(device))
            targets = torch.from_numpy(labels[batch]).to(device)
            loss = functional.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            summed += loss.detach().cpu() * len(batch)
            if task is not None:
                task.advance(len(batch), step=Step(epoch + 1, epochs, None, rate))
        losses.append(float(summed) / len(rows))
        if task is not None:
            task.tell(_ended(epoch + 1, epochs, losses[-1], recipe))
        if saved is not None:
            saved.save(tail, optimizer, losses)
    return tail.cpu()


def _ended(number: int, epochs: int, loss: float, recipe: FineTuning) -> Epoch:
    rate = recipe.learning_rate * _schedule(number, epochs, recipe.warmup)
    return Epoch("Fine-tuning", number, epochs, loss, rate)


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Rise linearly, then fall along half a cosine: the share of the peak rate at a step."""
    rising = min(1.0, (step + 1) / max(1.0, warmup * steps))
    return rising * 0.5 * (1 + math.cos(math.pi * step / steps))


@torch.no_grad()
def average(frozen: Tail, tuned: Tail, share: float) -> Tail:
    """Average weights: `share` of `tuned`, the rest of `frozen` (WiSE-FT, Wortsman et al. 2022)."""
    mean = copy.deepcopy(tuned)
    for value, start in zip(mean.parameters(), frozen.parameters(), strict=True):
        value.lerp_(start, 1 - share)
    return mean


@torch.inference_mode()
def answer(tail: Tail, activations: Activations, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute logits `[n, classes]` for photos as they are served."""
    parts = [tail(activations.plain(rows[start : start + _BATCH])) for start in range(0, len(rows), _BATCH)]
    return torch.cat(parts).numpy()


@torch.inference_mode()
def embed(tail: Tail, activations: Activations) -> NDArray[np.float32]:
    """Compute features `[N, F]` of all photos as they are served."""
    rows = np.arange(activations.photos)
    parts = [tail.embed(activations.plain(rows[start : start + _BATCH])) for start in range(0, len(rows), _BATCH)]
    return torch.cat(parts).numpy()
