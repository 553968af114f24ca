"""What a recipe is, and how its optimiser is driven."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from whisker.model.networks.base import Network

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a recipe runs: `epochs` where `documented` ones do not fit the time, `epoch_steps` batches each.

    Before them come `frozen_epochs`, in which only the head is trained.
    """

    epochs: int
    documented: int
    epoch_steps: int
    frozen_epochs: int = 0

    @property
    def scale(self) -> float:
        """Give the share of the documented epochs that are run: other counts of epochs shrink as much."""
        return self.epochs / self.documented

    @property
    def frozen_steps(self) -> int:
        return self.frozen_epochs * self.epoch_steps

    @property
    def steps(self) -> int:
        """Count the steps after the frozen ones."""
        return self.epochs * self.epoch_steps


class Optimisation(ABC):
    """A network in training: `set_rates` before the gradients of a step are computed, `update` after."""

    def __init__(self, network: nn.Module, optimizer: Optimizer, plan: Plan) -> None:
        self.network, self.optimizer, self.plan = network, optimizer, plan

    @abstractmethod
    def set_rates(self, step: int) -> None:
        """Set what the schedule says for a step, counted from 0, the frozen ones included."""

    def update(self, step: int) -> None:
        """Use the gradients, and clear them."""
        del step
        self.optimizer.step()
        self.optimizer.zero_grad()

    def result(self) -> nn.Module:
        """Give the network to answer with: float32 `[N, 3, H, W]` in 0..1 -> logits."""
        return self.network


View = Callable[[Image.Image, int, np.random.Generator], Image.Image]
BatchView = Callable[[Tensor, np.random.Generator], Tensor]


def unchanged(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Leave a batch as it is."""
    del rng
    return batch


@dataclass(frozen=True, slots=True)
class Recipe:
    """A documented recipe. `source` is the page that has the hyper-parameters.

    `view` turns a training photo into a square of a side in pixels; `batch_view` changes float32 `[N, 3, H, W]` in
    0..1. Test photos are scaled so that the central square that is tested is `test_share` of the shorter side.
    """

    name: str
    title: str
    source: str
    epochs: int
    batch_size: int
    view: View
    start: Callable[[Network, Plan, int], Optimisation]  # with the number of classes
    batch_view: BatchView = unchanged
    test_share: float = 0.875
    resample: Image.Resampling = Image.Resampling.BILINEAR  # of test photos
    label_smoothing: float = 0.0
    frozen_epochs: int = 0
    drop_last: bool = False  # batch of an epoch, if it is smaller


def split_decayed(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Separate the weights that decay from biases and batch-norms, which do not."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for root in modules:
        for parameter in root.parameters():
            (decayed if parameter.ndim > 1 else others).append(parameter)
    return decayed, others
