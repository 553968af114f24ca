"""The transfer-learning tutorial of PyTorch and torchvision, in both variants.

Photos in random crops of 8 to 100 % of the area, mirrored; batches of 4; SGD with a rate of 0.001 and momentum 0.9,
a tenth of the rate after each 7 epochs of 25. The network is in training mode: batch-norm statistics move even where
all but the last layer is frozen. The tutorial keeps the epoch that is best on its validation photos; here the last is.
"""

from collections.abc import Iterable

import numpy as np
from PIL import Image
from torch import nn
from torch.optim import SGD

from benchmarks.transfer.recipes.base import Optimisation, Plan, Recipe
from benchmarks.transfer.recipes.views import mirror, random_crop
from whisker.model.networks.base import Network

_SOURCE = "https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html"
_RATE, _MOMENTUM = 1e-3, 0.9
_DECAY, _DECAY_EPOCHS = 0.1, 7


class StepDecay(Optimisation):
    """SGD whose rate falls in steps."""

    def __init__(self, network: nn.Module, parameters: Iterable[nn.Parameter], plan: Plan) -> None:
        super().__init__(network, SGD(parameters, lr=_RATE, momentum=_MOMENTUM), plan)

    def set_rates(self, step: int) -> None:
        epoch = step // self.plan.epoch_steps
        for group in self.optimizer.param_groups:
            group["lr"] = _RATE * _DECAY ** int(epoch / (_DECAY_EPOCHS * self.plan.scale))


def _view(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    return mirror(random_crop(image, size, rng), rng)


def _start_all(network: Network, plan: Plan, classes: int) -> Optimisation:
    network.fc = nn.Linear(network.fc.in_features, classes)
    return StepDecay(network, network.parameters(), plan)


def _start_features(network: Network, plan: Plan, classes: int) -> Optimisation:
    network.requires_grad_(requires_grad=False)
    network.fc = nn.Linear(network.fc.in_features, classes)
    return StepDecay(network, network.fc.parameters(), plan)


ALL = Recipe("torchvision", "torchvision tutorial, fine-tuning", _SOURCE, 25, 4, _view, _start_all)
FEATURES = Recipe(
    "torchvision-features", "torchvision tutorial, fixed features", _SOURCE, 25, 4, _view, _start_features
)
