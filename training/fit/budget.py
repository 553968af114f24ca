"""A training that is done in time: measure this machine for a few seconds, then choose width, sizes and epochs."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from whisker.model.cores import available_cores
from whisker.model.errors import ConfigError
from whisker.model.network import NetworkConfig, build_network
from whisker.training.config import (
    MIN_SIZE,
    PRESETS,
    Dtype,
    TrainingConfig,
    cache_size,
    recipe_for,
    round_size,
    training_size,
)
from whisker.training.data.survey import Survey
from whisker.training.fit.augmentation import Augmentation
from whisker.training.fit.averaging import update_average
from whisker.training.fit.precision import autocast, probe_bf16
from whisker.training.fit.schedule import plan
from whisker.training.progress import Progress

_RESERVE = 0.06  # of the time, kept for what was not measured
_DUPLICATES_SECONDS = 0.0004  # a photo, to find duplicates
_START_SECONDS = 10.0  # to load libraries, write and verify the checkpoint, and draw the report
_CALIBRATION_PHOTOS = 4096  # training photos that calibration runs through the network
_STEPS = 3  # timed at each size; the fastest counts, and one more before them pays for set-up
_DTYPE_SIZE = 128  # pixels, the side of the pictures that precisions are compared on
_MAX_STEPS, _MAX_EPOCHS = 6_000, 250  # more than either of both no longer pays


@dataclass(frozen=True, slots=True)
class Way:
    """A way to spend the time; it is worth choosing from `min_epochs` on."""

    preset: str
    width: int
    scale: float  # of the serving size that the photos suggest
    min_epochs: int


# The dearest first. A wider network at few epochs is worse than a narrow one at more (docs/training.md).
_WAYS = (
    Way("best", 48, 1.0, 90),
    Way("best", 32, 1.0, 60),
    Way("standard", 32, 1.0, 18),
    Way("quick", 32, 1.0, 8),
    Way("quick", 32, 0.75, 6),
    Way("quick", 16, 0.75, 1),
)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the user has decided; `None` leaves it to the plan."""

    width: int | None = None
    size: int | None = None
    learning_rate: float | None = None


def plan_within(
    seconds: float, base: TrainingConfig, survey: Survey, *, fixed: Fixed, device: str, progress: Progress
) -> TrainingConfig:
    """Choose network, recipe and precision so that training and calibration take `seconds` from now on.

    `base` gives all that the time does not decide. Raises `ConfigError` if one epoch does not fit.
    """
    deadline = time.monotonic() + seconds
    train = round(survey.photos * (1 - base.validation - base.test))
    batch = plan(base.recipe, max(1, train), base.network.size).batch_size
    dtype = _choose_dtype(base, batch, device, progress) if base.dtype == "auto" else base.dtype
    step_seconds = cache(lambda width: _line(replace(base.network, width=width), batch, dtype, device))
    for way in _WAYS:
        width = fixed.width or way.width
        size = fixed.size or round_size(survey.serving_size * way.scale)
        config = replace(base, network=replace(base.network, width=width, size=size), preset=way.preset, dtype=dtype)
        photo_seconds = step_seconds(width)  # the first time, this takes a few seconds itself
        left = (deadline - time.monotonic()) * (1 - _RESERVE) - _fixed_seconds(config, survey, photo_seconds)
        epochs = _affordable_epochs(left, config, survey, photo_seconds)
        if epochs >= way.min_epochs:
            return _config(config, min(epochs, _max_epochs(survey.photos)), fixed, progress)
    raise ConfigError(
        f"The time is too short for {survey.photos:,} photos on this machine: an epoch of the smallest network does "
        "not fit. Give more --minutes, or fewer photos."
    )


def _config(config: TrainingConfig, epochs: int, fixed: Fixed, progress: Progress) -> TrainingConfig:
    recipe = recipe_for(config.preset, config.network, epochs, fixed.learning_rate)
    sizes = ", ".join(f"{stage.epochs} at {training_size(stage, config.network.size)} px" for stage in recipe.stages)
    progress.say(
        f"Plan for the time given: width {config.network.width}, served at {config.network.size} px, "
        f"{epochs} epochs ({sizes}), {config.dtype}."
    )
    return replace(config, recipe=recipe)


def _max_epochs(photos: int) -> int:
    return max(_MAX_EPOCHS, _MAX_STEPS * PRESETS["best"].batch_size // max(1, photos))


def _fixed_seconds(config: TrainingConfig, survey: Survey, photo_seconds: Callable[[int], float]) -> float:
    """Estimate what does not depend on the number of epochs: decoding, duplicates, calibration, test."""
    held_out = config.validation + config.test
    decoding = survey.photos * (1 + held_out) * survey.decode_seconds / available_cores()
    forward = photo_seconds(config.network.size) / 2  # in float32, without the way back
    photos = survey.photos * held_out + min(_CALIBRATION_PHOTOS, survey.photos)
    return _START_SECONDS + decoding + survey.photos * _DUPLICATES_SECONDS + photos * forward


def _affordable_epochs(
    seconds: float, config: TrainingConfig, survey: Survey, photo_seconds: Callable[[int], float]
) -> int:
    """Count the epochs that fit, each with the preset's mix of sizes and a look at the validation side."""
    train = survey.photos * (1 - config.validation - config.test)
    stages = PRESETS[config.preset].stages
    mix = [photo_seconds(training_size(stage, config.network.size)) * stage.epochs for stage in stages]
    epoch = train * sum(mix) / sum(stage.epochs for stage in stages)
    epoch += survey.photos * config.validation * photo_seconds(config.network.size) / 3  # without the way back
    return int(max(0.0, seconds) // epoch)


def _line(network: NetworkConfig, batch: int, dtype: Dtype, device: str) -> Callable[[int], float]:
    """Measure the seconds a photo takes in training, and draw a line through them over the picture's area.

    They are measured at about half of the serving size, where trainings begin, and the whole of it.
    """
    largest = max(network.size, 2 * MIN_SIZE)
    (low, low_seconds), (high, high_seconds) = (
        (size**2, _photo_seconds(network, size, batch, dtype, device)) for size in (round_size(largest / 2), largest)
    )
    slope = max(0.0, (high_seconds - low_seconds) / (high - low))
    return lambda size: max(low_seconds + slope * (size**2 - low), low_seconds / 4)


def _photo_seconds(config: NetworkConfig, size: int, batch: int, dtype: Dtype, device: str) -> float:
    """Time whole training steps, from augmentation to averaged weights, on noise."""
    network = build_network(config, 2).to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    source = cache_size(config.size)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, source, source, 3), dtype=np.uint8)
    augmentation, rows, flipped = Augmentation(PRESETS["best"]), np.arange(batch), np.zeros(batch, bool)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0, momentum=0.9, nesterov=True)
    averaged = copy.deepcopy(network)
    labels, seconds = torch.zeros(batch, dtype=torch.long, device=device), []
    for step in range(_STEPS + 1):
        started = time.perf_counter()
        x = augmentation(pixels, rows, flipped, size, torch.Generator().manual_seed(step)).to(device)
        optimizer.zero_grad()
        with autocast(torch.device(device).type, bf16=dtype == "bfloat16"):
            logits = network(x)
        loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), PRESETS["best"].gradient_norm)
        optimizer.step()
        update_average(averaged, network, 0.99)
        loss.item()  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / batch


def _choose_dtype(base: TrainingConfig, batch: int, device: str, progress: Progress) -> Dtype:
    network = build_network(base.network, 2).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.rand((batch, 3, _DTYPE_SIZE, _DTYPE_SIZE), generator=torch.Generator().manual_seed(0)).to(device)
    labels = (torch.arange(batch) % 2).to(device)
    return "bfloat16" if probe_bf16(network, x, labels, progress) else "float32"
