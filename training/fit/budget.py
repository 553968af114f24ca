"""Training within a time limit: measure this machine for a few seconds, then choose width, sizes and epochs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from whisker.model.cores import available_cores
from whisker.model.errors import ConfigError
from whisker.model.networks.build import build_network
from whisker.model.networks.config import NetworkConfig
from whisker.training.config import (
    CALIBRATION_PHOTOS,
    MIN_SIZE,
    PRESETS,
    Dtype,
    Stage,
    TrainingConfig,
    cache_size,
    recipe_for,
    round_size,
    training_size,
)
from whisker.training.data.dataset import Split
from whisker.training.data.folders.survey import Survey
from whisker.training.fit.loop import Trainer
from whisker.training.fit.precision import probe_bf16
from whisker.training.fit.schedule import plan
from whisker.training.progress import Progress, silent

_RESERVE = 0.06  # of the time, for everything that is not measured
_DUPLICATES_SECONDS = 0.0004  # per photo, to find duplicates
_START_SECONDS = 10.0  # to load libraries, write and verify the checkpoint, and draw the report
_TIMED_STEPS = 3  # at each size, of which the fastest counts; one more before them includes set-up
_PRECISION_PROBE_SIZE = 128  # pixels, of the pictures that precisions are compared on
_MAX_STEPS, _MAX_EPOCHS = 6_000, 250  # a training that exceeds both is not worth its time

# Times the training of a network on so many photos, in a precision and on a device, at each of the picture sizes in
# pixels: the seconds that a photo takes.
PhotoTimer = Callable[[NetworkConfig, Sequence[int], int, Dtype, str], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan to consider; it is worth choosing if the time suffices for `min_epochs`."""

    preset: str
    width: int
    scale: float  # of the serving size that the photos suggest
    min_epochs: int


# The most expensive first. With few epochs, a wide network is worse than a narrow one with more: see
# docs/explanation/accuracy.md.
_CANDIDATES = (
    Candidate("best", 48, 1.0, 90),
    Candidate("best", 32, 1.0, 60),
    Candidate("standard", 32, 1.0, 18),
    Candidate("quick", 32, 1.0, 8),
    Candidate("quick", 32, 0.75, 6),
    Candidate("quick", 16, 0.75, 1),
)


@dataclass(frozen=True, slots=True)
class FixedChoices:
    """The choices that the user has made; `None` leaves one to the plan."""

    width: int | None = None
    size: int | None = None
    learning_rate: float | None = None


def time_training(
    network: NetworkConfig, sizes: Sequence[int], photos: int, dtype: Dtype, device: str
) -> tuple[float, ...]:
    """Time real training steps on noise, from augmentation to averaged weights; see `PhotoTimer`."""
    stages = tuple(Stage(size / network.size, epochs=1) for size in sizes)
    # Without learning, noise cannot make the training diverge. Mixing is not timed: not all presets mix.
    recipe = replace(PRESETS["best"], stages=stages, minimum_steps=0, peak_learning_rate=0.0, mixing=0.0)
    noise = _noise(photos, recipe.batch_size, cache_size(network.size))
    config = TrainingConfig(recipe, network, dtype=dtype)
    trainer = Trainer(config, noise, noise, classes=("first", "second"), device=device, progress=silent())
    trainer.state.bf16 = dtype == "bfloat16"
    return tuple(_time_step(trainer, epoch) / trainer.schedule.batch_size for epoch in range(len(sizes)))


def plan_within(
    seconds: float,
    base: TrainingConfig,
    survey: Survey,
    *,
    fixed: FixedChoices,
    device: str,
    progress: Progress,
    time_photos: PhotoTimer = time_training,
) -> TrainingConfig:
    """Choose network, recipe and precision to make training and calibration take `seconds` from now on.

    `base` has all settings that do not depend on the time. Raises `ConfigError` if not even one epoch fits.
    """
    deadline = time.monotonic() + seconds
    train = max(1, round(survey.photos * (1 - base.validation - base.test)))
    dtype = _choose_dtype(base, train, device, progress) if base.dtype == "auto" else base.dtype
    measure = cache(lambda width: _measure(replace(base.network, width=width), train, dtype, device, time_photos))
    for candidate in _CANDIDATES:
        width = fixed.width or candidate.width
        size = fixed.size or round_size(survey.serving_size * candidate.scale)
        network = replace(base.network, width=width, size=size)
        config = replace(base, network=network, preset=candidate.preset, dtype=dtype)
        photo_seconds = measure(width)  # for a new width, this takes a few seconds of the time
        left = (deadline - time.monotonic()) * (1 - _RESERVE) - _fixed_seconds(config, survey, photo_seconds)
        epochs = _affordable_epochs(left, config, survey, photo_seconds)
        if epochs >= candidate.min_epochs:
            return _config(config, min(epochs, _max_epochs(survey.photos)), fixed, progress)
    raise ConfigError(
        f"The time is too short for {survey.photos:,} photos on this machine: an epoch of the smallest network does "
        "not fit. Give more --minutes, or fewer photos."
    )


def _config(config: TrainingConfig, epochs: int, fixed: FixedChoices, progress: Progress) -> TrainingConfig:
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
    """Estimate the time that does not depend on the number of epochs: decoding, duplicates, calibration, test."""
    held_out = config.validation + config.test
    decoding = survey.photos * (1 + held_out) * survey.decode_seconds / available_cores()
    forward = photo_seconds(config.network.size) / 2  # without the backward pass, but in float32
    photos = survey.photos * held_out + min(CALIBRATION_PHOTOS, survey.photos)
    return _START_SECONDS + decoding + survey.photos * _DUPLICATES_SECONDS + photos * forward


def _affordable_epochs(
    seconds: float, config: TrainingConfig, survey: Survey, photo_seconds: Callable[[int], float]
) -> int:
    """Count the epochs that fit, each with the preset's mix of sizes and one validation."""
    train = survey.photos * (1 - config.validation - config.test)
    stages = PRESETS[config.preset].stages
    mix = [photo_seconds(training_size(stage, config.network.size)) * stage.epochs for stage in stages]
    epoch = train * sum(mix) / sum(stage.epochs for stage in stages)
    epoch += survey.photos * config.validation * photo_seconds(config.network.size) / 3  # without the backward pass
    return int(max(0.0, seconds) // epoch)


def _measure(
    network: NetworkConfig, photos: int, dtype: Dtype, device: str, time_photos: PhotoTimer
) -> Callable[[int], float]:
    """Measure a photo's training time at two sizes; return its estimate for any size, linear in the picture's area.

    The sizes are about half of the serving size, at which trainings begin, and the serving size.
    """
    largest = max(network.size, 2 * MIN_SIZE)
    sizes = round_size(largest / 2), largest
    low_seconds, high_seconds = time_photos(network, sizes, photos, dtype, device)
    low, high = (size**2 for size in sizes)
    slope = max(0.0, (high_seconds - low_seconds) / (high - low))
    return lambda size: max(low_seconds + slope * (size**2 - low), low_seconds / 4)


def _noise(photos: int, distinct: int, size: int) -> Split:
    """Make a split of as many photos as the real one, `[photos]`, of which at most `distinct` are in memory."""
    distinct = min(photos, distinct)
    pixels = np.random.default_rng(0).integers(0, 256, (distinct, size, size, 3), dtype=np.uint8)
    return Split(pixels, np.arange(photos) % distinct, np.zeros(photos, np.int64), groups=np.arange(photos))


def _time_step(trainer: Trainer, epoch: int) -> float:
    """Return the seconds of the fastest step, at an epoch's picture size."""
    seconds = []
    for step in range(_TIMED_STEPS + 1):
        started = time.perf_counter()
        trainer.step(*trainer.batch(step, epoch, 0))  # its loss waits for a GPU
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _choose_dtype(base: TrainingConfig, photos: int, device: str, progress: Progress) -> Dtype:
    batch = plan(base.recipe, photos, base.network.size).batch_size
    network = build_network(base.network, 2).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (batch, 3, _PRECISION_PROBE_SIZE, _PRECISION_PROBE_SIZE)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    labels = (torch.arange(batch) % 2).to(device)
    return "bfloat16" if probe_bf16(network, x, labels, progress) else "float32"
