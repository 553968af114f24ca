"""The configuration of a training: frozen settings, and presets for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from whisker.model.errors import ConfigError
from whisker.model.networks.config import Family, NetworkConfig
from whisker.model.preprocessing import Preprocessing

Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A run of epochs at one training size, given as a fraction of the serving size.

    Pictures of half the size cost a quarter and suffice to learn coarse shapes. Random crops magnify objects, so a
    network trained at 7/8 of a size works best at that size (Touvron et al. 2019).
    """

    scale: float
    epochs: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyper-parameters, each with its unit and its reason."""

    stages: tuple[Stage, ...]
    minimum_steps: int  # of the whole training; with few photos, an epoch takes several passes to reach it
    batch_size: int = 128  # photos per step; fewer in small data sets
    peak_learning_rate: float = 0.12  # at batch size 128; scaled linearly with the batch (Goyal et al. 2017)
    momentum: float = 0.9  # Nesterov
    weight_decay: float = 5e-4  # on weights only, not on biases and batch-norm
    warmup: float = 0.08  # fraction of all steps with a rising rate; starting at the full rate can diverge
    label_smoothing: float = 0.1  # some labels are wrong: never demand certainty (Szegedy et al. 2016)
    gradient_norm: float = 5.0  # clipped above; reached only in the first steps and in networks without batch-norm
    averaging_epochs: float = 1.0  # time constant of the averaged weights
    # A class of n photos is shown in proportion to n to the power 1 - balance (Mahajan et al. 2018).
    balance: float = 0.5
    # Few epochs underfit: with stronger augmentation even training photos were often misclassified (docs/adr/0003).
    minimum_crop: float = 0.4  # of the picture's area
    colour: float = 0.2  # maximum relative change of brightness, contrast and saturation
    mixing: float = 0.0  # share of batches whose photos are mixed in pairs
    unmixed: float = 0.15  # share of epochs, the last ones, without mixing: photos as they will be served


PRESETS = {
    "quick": Recipe(stages=(Stage(0.5, 5), Stage(0.75, 6), Stage(0.875, 2)), minimum_steps=400),
    "standard": Recipe(stages=(Stage(0.5, 4), Stage(0.75, 7), Stage(0.875, 7)), minimum_steps=1_200),
    "best": Recipe(
        stages=(Stage(0.625, 15), Stage(0.75, 19), Stage(0.85, 26)),
        minimum_steps=4_000,
        label_smoothing=0.05,
        averaging_epochs=2.0,
        minimum_crop=0.25,
        colour=0.3,
        mixing=0.7,
    ),
}


@dataclass(frozen=True, slots=True)
class FineTuning:
    """The hyper-parameters of fine-tuning after a linear probe, each with its reason (docs/adr/0018)."""

    epochs: int = 10  # of a few hundred photos; fewer of more
    fill_time: bool = False  # with more epochs than these, if there is time
    batch_size: int = 32
    learning_rate: float = 4e-4  # Adam's, at the peak; it falls to zero along a cosine
    warmup: float = 0.1  # fraction of all steps with a rising rate
    label_smoothing: float = 0.1  # some labels are wrong (Szegedy et al. 2016)
    # Of the probe that it starts from: one that fits less tightly leaves the features more to learn.
    start_penalty: float = 1e-2
    views: int = 8  # of each photo that the frozen part computes once
    minimum_crop: float = 0.5  # of a view, as a share of the picture's area
    colour: float = 0.2  # of a view: maximum relative change of brightness, contrast and saturation
    shares: tuple[float, ...] = (0.5, 0.75)  # of the tuned weights in an average with the frozen ones, to choose from


@dataclass(frozen=True, slots=True)
class TransferRecipe:
    """A transfer from pretrained weights: a linear probe of frozen features, then fine-tuning where that helps.

    The penalty on squared weights is in units of the features' total variance. From 0.001 to 0.00003, accuracy on six
    small tasks differed by less than 0.3 points: it is fixed, as a choice by few photos would be chance.
    """

    minutes: float = 2.5  # for everything but decoding
    penalty: float = 3e-4
    balance: float = 0.5  # as in `Recipe`
    fine_tuning: FineTuning | None = FineTuning()
    cross_validated: bool = True  # no photo is set aside: each is tested by networks that were trained without it


# Without batch-norm, a fully connected network diverges at the rate that suits the others.
# Networks that only make sense with pretrained weights would forget these at the rate for random ones.
LEARNING_RATE_SCALE: Mapping[Family, float] = {
    "mlp": 0.1,
    "cnn": 1.0,
    "resnet": 1.0,
    "efficientnet-lite": 0.1,
    "mobilenetv3": 0.1,
    "convnext": 0.02,
}
CACHE_SCALE = 1.25  # training photos are cached larger than the serving size: crops stay sharp
SIZE_STEP = 8  # pixels; training sizes are multiples of it
# Below 32 px a strided convolution sees 1 x 1 feature maps; PyTorch 2.13's emulated bfloat16 gave NaN gradients there.
MIN_SIZE = 32
CALIBRATION_PHOTOS = 4096  # training photos, at most, that calibration runs through the network


@dataclass(frozen=True, slots=True)
class Grouping:
    """How users group photos that must stay in one split: by a column of the file of labels, or by a level of folders.

    The name of a column is in small letters; level 1 is the outermost folder, below class folders if there are any.
    """

    column: str | None = None
    folder_level: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the value of `--groups`: `folder`, `folder:N`, `column:NAME`, or just NAME.

        `folder` is never a column, so its meaning does not depend on the file. Raises `ConfigError`.
        """
        name = text.strip().lower()
        kind, colon, value = (part.strip() for part in name.partition(":"))
        if kind == "folder":
            level = value if colon else "1"
            if not level.isdecimal() or int(level) < 1:
                raise ConfigError(
                    f"--groups folder:N takes a level of 1 or more, not {value!r}; for a column of that name, give "
                    f"--groups {f'column:{name}'!r}."
                )
            return cls(folder_level=int(level))
        column = value if kind == "column" and colon else name
        if not column:
            raise ConfigError("--groups is the name of a column of --labels, folder, or folder:N.")
        return cls(column=column)

    def __str__(self) -> str:
        return f"folder level {self.folder_level}" if self.column is None else f"column {self.column!r}"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A training's complete configuration: equal values on equal photos give equal weights on one machine.

    Transfers are the exception: how much is fine-tuned follows from the speed that is measured.
    """

    recipe: Recipe
    network: NetworkConfig = field(default_factory=NetworkConfig)
    preset: str = "quick"
    dtype: Dtype = "auto"
    pretrained: str = ""  # SHA-256 of the file of pretrained weights
    seed: int = 0
    validation: float = 0.1  # fraction of each class's photos
    test: float = 0.1
    groups: Grouping | None = None
    transfer: TransferRecipe | None = None  # instead of `recipe`
    student: NetworkConfig | None = None  # that the transferred network teaches, by `recipe`
    multi_label: bool = False  # a photo has any number of labels

    @property
    def preprocessing(self) -> Preprocessing:
        """Give what turns photos into pixels of the serving size; pretrained weights know them sharper (bicubic)."""
        return Preprocessing(self.network.size, resample="bilinear" if self.transfer is None else "bicubic")

    @property
    def cross_validated(self) -> bool:
        """Tell whether no photo is set aside."""
        return self.transfer is not None and self.transfer.cross_validated


def recipe_for(
    preset: str, network: NetworkConfig, epochs: int | None = None, learning_rate: float | None = None
) -> Recipe:
    """Look up a preset's recipe, with its stages scaled to `epochs`; raise `ConfigError` for values out of range.

    `learning_rate` replaces the peak at batch size 128.
    """
    if preset not in PRESETS:
        raise ConfigError(f"The preset is one of {', '.join(PRESETS)}, not {preset!r}.")
    recipe = PRESETS[preset]
    rate = learning_rate
    if rate is None:
        rate = recipe.peak_learning_rate * LEARNING_RATE_SCALE[network.family]
    if not 0 < rate <= 10:
        raise ConfigError(f"The learning rate is above 0 and at most 10, not {rate}.")
    recipe = replace(recipe, peak_learning_rate=rate)
    if epochs is None:
        return recipe
    if epochs < 1:
        raise ConfigError(f"The number of epochs is at least 1, not {epochs}.")
    return replace(recipe, stages=_stretch(recipe.stages, epochs), minimum_steps=0)


def training_size(stage: Stage, size: int) -> int:
    """Return the picture size in pixels at which a stage trains, for a serving size."""
    return round_size(size * stage.scale)


def round_size(size: float) -> int:
    """Round to the nearest picture size in pixels that a network is trained at."""
    return max(MIN_SIZE, round(size / SIZE_STEP) * SIZE_STEP)


def cache_size(size: int) -> int:
    """Return the size in pixels at which training photos are cached, for a serving size."""
    return min(512, math.ceil(size * CACHE_SCALE / SIZE_STEP) * SIZE_STEP)


def _stretch(stages: tuple[Stage, ...], epochs: int) -> tuple[Stage, ...]:
    """Distribute `epochs` over the stages in their old proportions; if there are few, the last stages get them."""
    total, remaining, stretched = sum(stage.epochs for stage in stages), epochs, []
    for stage in reversed(stages):
        share = min(remaining, math.ceil(stage.epochs * epochs / total))
        if share:
            stretched.append(Stage(stage.scale, share))
        remaining -= share
    return tuple(reversed(stretched))
