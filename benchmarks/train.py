"""How fast the training is, and how much of a step is not the network: a real training of a few steps a size.

`python -m benchmarks.train PHOTOS`, PHOTOS/<class>/*
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn

from whisker.model import NetworkConfig, Preprocessing
from whisker.model.engines.device import use_available_cores
from whisker.model.errors import ConfigError, WhiskerError
from whisker.training.config import PRESETS, Recipe, Stage, TrainingConfig, cache_size, training_size
from whisker.training.data.cache import decode_photos
from whisker.training.data.dataset import Split
from whisker.training.data.folders.folder import find_photos
from whisker.training.fit.loop import Trainer
from whisker.training.progress import Progress

TARGET, GOAL = 10.0, 7.0  # percent of a step outside the network
_SKIPPED = 3  # steps of each size that pay for set-up
_VALIDATION = 64  # photos: the least that lets an epoch end


@dataclass(frozen=True, slots=True)
class Step:
    """One training step: the seconds that all of it took, and those of forward, loss, backward and optimiser."""

    size: int
    photos: int
    seconds: float
    network_seconds: float


class Stopwatch:
    """Time the steps of a trainer from outside, by PyTorch's hooks on its network and optimiser.

    A step lasts from the end of the previous optimiser step to its own: photos, augmentation, copies, averaging and
    bookkeeping are in it. The first step of an epoch is dropped, for the validation of the previous one is in it.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.steps: list[Step] = []
        self._forward = self._end = 0.0
        self._photos = self._size = 0
        self._position, self._epoch_steps = 0, trainer.schedule.epoch_steps
        trainer.state.network.register_forward_pre_hook(self._on_forward)
        trainer.state.optimizer.register_step_post_hook(self._on_step)

    def _on_forward(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        del network
        self._forward = time.perf_counter()
        self._photos, _, self._size, _ = inputs[0].shape

    def _on_step(self, *_: Any) -> None:
        end = time.perf_counter()
        if self._position % self._epoch_steps > _SKIPPED:
            self.steps.append(Step(self._size, self._photos, end - self._end, end - self._forward))
        self._position, self._end = self._position + 1, end


def main(
    photos: Annotated[Path, typer.Argument(help="Folder of photos to train with, PHOTOS/<class>/*.")],
    *,
    preset: Annotated[str, typer.Option(help=f"{', '.join(PRESETS)}.")] = "best",
    width: Annotated[int, typer.Option(help="Of the network.")] = NetworkConfig().width,
    size: Annotated[int, typer.Option(help="Side in pixels that the network will be served at.")] = 128,
    steps: Annotated[int, typer.Option(min=16, help="Steps a picture size.")] = 20,
) -> None:
    """Train for a few steps at each size of a preset, on the CPU, and say where the time goes."""
    if preset not in PRESETS:
        raise ConfigError(f"The preset is one of {', '.join(PRESETS)}, not {preset!r}.")
    use_available_cores()
    recipe = short_recipe(PRESETS[preset])
    config = TrainingConfig(recipe, NetworkConfig(width=width, size=size), preset=preset)
    with tempfile.TemporaryDirectory(prefix="whisker-benchmark-") as folder:
        measured = measure(photos, config, steps, Path(folder))
    typer.echo(describe(measured, weights(PRESETS[preset], size)))


def short_recipe(recipe: Recipe) -> Recipe:
    """Keep a recipe's sizes, for one epoch each."""
    return replace(recipe, stages=tuple(Stage(stage.scale, 1) for stage in recipe.stages), minimum_steps=0)


def measure(root: Path, config: TrainingConfig, steps: int, work: Path) -> list[Step]:
    """Train with as many photos as that many steps a size take; the pixels of all of them are in memory by then."""
    progress = Progress()
    photos = steps * config.recipe.batch_size
    train, classes = _read_split(root, cache_size(config.network.size), photos, work / "train", progress)
    validation, _ = _read_split(root, config.network.size, _VALIDATION, work / "validation", progress)
    trainer = Trainer(config, train, validation, classes=classes, device="cpu", progress=progress)
    if trainer.schedule.epoch_steps <= _SKIPPED + 1:
        raise ConfigError(f"{root} holds too few photos for {_SKIPPED + 2} steps: give more.")
    stopwatch = Stopwatch(trainer)
    trainer.fit(work / "state.safetensors", {})
    return stopwatch.steps


def _read_split(root: Path, size: int, photos: int, cache: Path, progress: Progress) -> tuple[Split, tuple[str, ...]]:
    """Decode photos that are evenly spread over the folder."""
    folder = find_photos(root)
    chosen = np.unique(np.linspace(0, len(folder.files) - 1, photos).astype(np.int64))
    files = [folder.files[index] for index in chosen]
    pixels, decoded = decode_photos(root, [file.path for file in files], Preprocessing(size=size), cache, progress)
    rows = np.flatnonzero([not outcome.error for outcome in decoded])
    labels = np.array([file.label for file in files], dtype=np.int64)
    return Split(pixels, rows, labels[rows], groups=rows), folder.classes


def weights(recipe: Recipe, size: int) -> dict[int, int]:
    """Count the epochs that a preset spends at each picture size."""
    epochs: dict[int, int] = defaultdict(int)
    for stage in recipe.stages:
        epochs[training_size(stage, size)] += stage.epochs
    return dict(epochs)


def describe(steps: Sequence[Step], epochs: dict[int, int]) -> str:
    """Write a line for each size, and one for all sizes by the epochs that a preset spends at each."""
    means = {size: _mean([step for step in steps if step.size == size]) for size in epochs}
    whole = sum(count * means[size][0] for size, count in epochs.items())
    outside = sum(count * means[size][1] for size, count in epochs.items())
    share, photos = 100 * outside / whole, steps[0].photos
    reached = "goal" if share <= GOAL else "target" if share <= TARGET else "missed"
    lines = [
        f"{size} px: {photos / seconds:,.0f} photos/s, {100 * beside / seconds:.1f} % of a step outside the network"
        for size, (seconds, beside) in means.items()
    ]
    all_sizes = f"{photos * sum(epochs.values()) / whole:,.0f} photos/s, {share:.1f} % outside"
    return "\n".join(
        (
            f"Batches of {photos}, {torch.get_num_threads()} threads, {len(steps)} steps",
            *lines,
            f"All sizes, by their epochs: {all_sizes} ({reached}: target {TARGET:g} %, goal {GOAL:g} %)",
        )
    )


def _mean(steps: Sequence[Step]) -> tuple[float, float]:
    """Give the mean seconds of a step, and those of them that are outside the network."""
    seconds = sum(step.seconds for step in steps) / len(steps)
    return seconds, seconds - sum(step.network_seconds for step in steps) / len(steps)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
