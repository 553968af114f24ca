"""Ultralytics' `yolo classify train`, with its default settings.

100 epochs, batches of 16, gradients of 4 batches together after the warm-up; `optimizer=auto` is AdamW with a rate that
falls with the number of classes for less than 10,000 steps; the rate falls along a line to a hundredth; 100 steps of
warm-up or 3 epochs, whichever is longer; clipped gradients; an average of the weights answers. Photos in random crops
of 50 to 100 % of the area, mirrored, RandAugment, erased. Its own option `time` cuts the epochs, as here.
"""

import math
from copy import deepcopy

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.optim import AdamW

from benchmarks.transfer.recipes.base import Optimisation, Plan, Recipe, split_decayed
from benchmarks.transfer.recipes.lighting import erase
from benchmarks.transfer.recipes.views import mirror, rand_augment, random_crop
from whisker.model.networks.base import Network

_SOURCE = "https://docs.ultralytics.com/usage/cfg/"
_WEIGHT_DECAY = 5e-4
_LAST_RATE = 0.01  # of the first
_WARMUP_EPOCHS, _WARMUP_STEPS = 3, 100
_BATCHES = 4  # whose gradients are used together: 64 photos
_GRADIENT_NORM = 10.0
_AVERAGING, _AVERAGING_STEPS = 0.9999, 2_000


class Accumulated(Optimisation):
    """AdamW on the gradients of several batches, and a running average of the weights."""

    def __init__(self, network: nn.Module, plan: Plan, classes: int) -> None:
        decayed, others = split_decayed([network])
        groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        self._rate = round(0.002 * 5 / (4 + classes), 6)
        super().__init__(network, AdamW(groups, lr=self._rate, betas=(0.9, 0.999)), plan)
        self._warmup = max(_WARMUP_EPOCHS * plan.epoch_steps, _WARMUP_STEPS)
        self._average, self._updates, self._last = deepcopy(network).eval(), 0, -1

    def set_rates(self, step: int) -> None:
        epoch = step // self.plan.epoch_steps
        rate = self._rate * ((1 - epoch / self.plan.epochs) * (1 - _LAST_RATE) + _LAST_RATE)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, step / self._warmup)

    def update(self, step: int) -> None:
        batches = max(1, round(1 + (_BATCHES - 1) * min(1.0, step / self._warmup)))
        if step - self._last < batches:
            return
        self._last = step
        nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_NORM)
        super().update(step)
        self._updates += 1
        self._follow(_AVERAGING * (1 - math.exp(-self._updates / _AVERAGING_STEPS)))

    @torch.no_grad()
    def _follow(self, kept: float) -> None:
        new = self.network.state_dict()
        for name, value in self._average.state_dict().items():
            if value.is_floating_point():
                value.mul_(kept).add_(new[name], alpha=1 - kept)

    def result(self) -> nn.Module:
        return self._average


def _view(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    return rand_augment(mirror(random_crop(image, size, rng, least=0.5), rng), rng)


def _start(network: Network, plan: Plan, classes: int) -> Optimisation:
    network.fc = nn.Linear(network.fc.in_features, classes)
    return Accumulated(network, plan, classes)


TRAIN = Recipe(
    "ultralytics",
    "Ultralytics, `classify train`",
    _SOURCE,
    epochs=100,
    batch_size=16,
    view=_view,
    start=_start,
    batch_view=erase,
    test_share=1.0,
)
