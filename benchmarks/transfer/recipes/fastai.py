"""fastai's `vision_learner(...).fine_tune(epochs)`.

Its head on the network's feature map, one epoch with the rest frozen but for batch-norm, then all of it with rates from
1e-5 (body) to 1e-3 (head), both by the one-cycle schedule, with Adam and decay 0.01. Photos are squares of the full
shorter side, changed by `aug_transforms()`, whose perspective warp is left out. fastai has no default for `epochs`, and
its tutorials take 1 to 4: here they are as many as the time allows, at most 10.
"""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import AdamW

from benchmarks.transfer.recipes.base import BATCH_NORMS, Optimisation, Plan, Recipe, split_decayed
from benchmarks.transfer.recipes.lighting import turn_and_light
from benchmarks.transfer.recipes.views import random_square
from whisker.model.networks.base import Network

_SOURCE = "https://docs.fast.ai/callback.schedule.html#learner.fine_tune"
_BASE_RATE, _RATE_RATIO = 2e-3, 100  # of the head, and how much lower the body's is
_FROZEN_BODY = 0.1  # of the head's rate: that of the body's batch-norms while the rest is frozen
_FROZEN_RISE, _RISE = 0.99, 0.3  # share of the steps in which the rate rises
_FROZEN_START, _START, _END = 25, 5, 1e5  # times lower than at the peak
_MOMENTUM = (0.95, 0.85)
_WIDTH, _DROPOUT = 512, 0.5


class HeadedNetwork(nn.Module):
    """A network's feature map, pooled by mean and maximum, and fastai's head of two layers."""

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        wide = 2 * network.fc.in_features
        network.fc = nn.Linear(1, 1)  # not used
        self.body = network
        self.head = nn.Sequential(
            nn.BatchNorm1d(wide),
            nn.Dropout(_DROPOUT / 2),
            nn.Linear(wide, _WIDTH, bias=False),
            nn.ReLU(),
            nn.BatchNorm1d(_WIDTH),
            nn.Dropout(_DROPOUT),
            nn.Linear(_WIDTH, classes, bias=False),
        )
        for module in self.head.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.body.parts():
            x = part(x)
        logits: Tensor = self.head(torch.cat((x.amax((2, 3)), x.mean((2, 3))), 1))
        return logits


class OneCycle(Optimisation):
    """AdamW in two cycles: with a frozen body, then with all of it; the first two groups are the body's."""

    def __init__(self, network: HeadedNetwork, plan: Plan) -> None:
        groups: list[dict[str, Any]] = []
        for part in (network.body, network.head):
            decayed, others = split_decayed([part])
            groups += [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        super().__init__(network, AdamW(groups, lr=0.0, betas=(_MOMENTUM[0], 0.99), eps=1e-5), plan)
        network.body.requires_grad_(requires_grad=False)
        for module in network.body.modules():
            if isinstance(module, BATCH_NORMS):
                module.requires_grad_()

    def set_rates(self, step: int) -> None:
        frozen = self.plan.frozen_steps
        if step < frozen:
            head, body = _BASE_RATE, _BASE_RATE * _FROZEN_BODY
            factor, momentum = cycle(step / frozen, _FROZEN_RISE, _FROZEN_START)
        else:
            self.network.requires_grad_()
            head = _BASE_RATE / 2
            body = head / _RATE_RATIO
            factor, momentum = cycle((step - frozen) / self.plan.steps, _RISE, _START)
        for group, rate in zip(self.optimizer.param_groups, (body, body, head, head), strict=True):
            group["lr"], group["betas"] = rate * factor, (momentum, 0.99)


def cycle(position: float, rise: float, start: float) -> tuple[float, float]:
    """Give the factor of the rate and the momentum at a position, 0..1, of a cycle: cosines up, then down."""
    if position < rise:
        share = (1 - math.cos(math.pi * position / rise)) / 2
        return (1 - share) / start + share, _MOMENTUM[0] + share * (_MOMENTUM[1] - _MOMENTUM[0])
    share = (1 - math.cos(math.pi * (position - rise) / (1 - rise))) / 2
    return 1 - share + share / _END, _MOMENTUM[1] + share * (_MOMENTUM[0] - _MOMENTUM[1])


def _view(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    return random_square(image, size, rng)


def _start(network: Network, plan: Plan, classes: int) -> Optimisation:
    return OneCycle(HeadedNetwork(network, classes), plan)


FINE_TUNE = Recipe(
    "fastai",
    "fastai, `fine_tune`",
    _SOURCE,
    epochs=10,
    batch_size=64,
    view=_view,
    start=_start,
    batch_view=turn_and_light,
    test_share=1.0,
    frozen_epochs=1,
    drop_last=True,
)
