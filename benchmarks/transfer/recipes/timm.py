"""timm's training script, with the options of the one fine-tuning that its documentation shows.

`--pretrained --batch-size 32 --epochs 30 --opt adamw --lr 1e-4 --weight-decay 0.01`; everything else is the script's
default: 5 epochs of warm-up from 1e-5, a cosine to 0 that changes each epoch, label smoothing 0.1, random crops of 8 to
100 % of the area with a random filter, mirroring, colour jitter 0.4, no decay of biases and batch-norms. The example
has several labels a photo; with one, the script's loss is cross-entropy.
"""

import math

import numpy as np
from PIL import Image
from torch import nn
from torch.optim import AdamW

from benchmarks.transfer.recipes.base import Optimisation, Plan, Recipe, split_decayed
from benchmarks.transfer.recipes.views import jitter, mirror, random_crop
from whisker.model.networks.base import Network

_SOURCE = "https://huggingface.co/docs/timm/training_script"
_RATE, _WEIGHT_DECAY = 1e-4, 0.01
_WARMUP_RATE, _WARMUP_EPOCHS = 1e-5, 5
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


class WarmCosine(Optimisation):
    """AdamW with a warm-up and a cosine, by epochs."""

    def __init__(self, network: nn.Module, plan: Plan) -> None:
        decayed, others = split_decayed([network])
        groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        super().__init__(network, AdamW(groups, lr=_RATE), plan)

    def set_rates(self, step: int) -> None:
        epoch, warmup = step // self.plan.epoch_steps, _WARMUP_EPOCHS * self.plan.scale
        if epoch < warmup:
            rate = _WARMUP_RATE + (_RATE - _WARMUP_RATE) * epoch / warmup
        else:
            rate = _RATE * (1 + math.cos(math.pi * epoch / self.plan.epochs)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def _view(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    resample = _FILTERS[rng.integers(len(_FILTERS))]
    return jitter(mirror(random_crop(image, size, rng, resample=resample), rng), 0.4, rng)


def _start(network: Network, plan: Plan, classes: int) -> Optimisation:
    network.fc = nn.Linear(network.fc.in_features, classes)
    return WarmCosine(network, plan)


FINE_TUNE = Recipe(
    "timm",
    "timm, the documentation's fine-tuning",
    _SOURCE,
    epochs=30,
    batch_size=32,
    view=_view,
    start=_start,
    resample=Image.Resampling.BICUBIC,
    label_smoothing=0.1,
    drop_last=True,
)
