"""The loop that runs a documented recipe within a budget of processor time, and tests its network."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.transfer.photos import Photo, Task
from benchmarks.transfer.recipes.base import Optimisation, Plan, Recipe
from benchmarks.transfer.recipes.views import centre_crop
from whisker.model.cores import available_cores
from whisker.model.networks.base import Network
from whisker.training.progress import Progress

_TEST_BATCH = 64
_TIMED_PHOTOS = 32  # at least, to plan the epochs


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tuned network's answers for the test photos, and what it took.

    `right` `[N]` tells which of them are right; seconds are those of the training.
    """

    right: NDArray[np.bool_]
    plan: Plan
    seconds: float
    cpu_seconds: float


class Tuner:
    """One recipe on the photos of one task."""

    def __init__(
        self, recipe: Recipe, network: Network, task: Task, *, size: int, seed: int, progress: Progress
    ) -> None:
        """`network` has the pretrained weights, and is left as it is; `size` is the pictures' side in pixels."""
        self.recipe, self.task, self.size, self.seed, self.progress = recipe, task, size, seed, progress
        self._network = network
        self._photos = [photo.open() for photo in task.train]
        self._labels = np.array([photo.label for photo in task.train])
        self._pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="view")

    def run(self, cpu_seconds: float) -> Tuned:
        """Fine-tune for the documented epochs, or as many as a budget of processor seconds is enough for."""
        started, cpu_started = time.monotonic(), time.process_time()
        plan = self._plan(cpu_seconds)
        optimisation = self._start(plan)
        epochs = plan.frozen_epochs + plan.epochs
        with self.progress.task(self.recipe.title, epochs * len(self._photos)) as bar:
            for epoch in range(epochs):
                for number, rows in enumerate(self._batches(epoch)):
                    self._step(optimisation, epoch * plan.epoch_steps + number, rows)
                    bar.advance(len(rows))
        seconds, used = time.monotonic() - started, time.process_time() - cpu_started
        return Tuned(self._test(optimisation.result()), plan, seconds, used)

    def _plan(self, cpu_seconds: float) -> Plan:
        """Time a few steps, and count the epochs that fit; one does in any case."""
        recipe, started = self.recipe, time.process_time()
        steps = len(list(self._batches(0)))
        trial = self._start(Plan(recipe.epochs, recipe.epochs, steps))
        photos = 0
        for number in range(1 + -(-_TIMED_PHOTOS // recipe.batch_size)):
            if number == 1:
                photos, started = 0, time.process_time()  # the first step includes set-up
            rows = np.arange(photos, photos + recipe.batch_size) % len(self._photos)
            self._step(trial, number, rows)
            photos += len(rows)
        epoch_seconds = (time.process_time() - started) / photos * len(self._photos)
        epochs = int(cpu_seconds / epoch_seconds) - recipe.frozen_epochs
        return Plan(max(1, min(recipe.epochs, epochs)), recipe.epochs, steps, recipe.frozen_epochs)

    def _start(self, plan: Plan) -> Optimisation:
        torch.manual_seed(self.seed)
        optimisation = self.recipe.start(deepcopy(self._network), plan, len(self.task.classes))
        optimisation.network.train()
        return optimisation

    def _batches(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self._photos))
        size = min(self.recipe.batch_size, len(order))
        end = len(order) // size * size if self.recipe.drop_last else len(order)
        for start in range(0, end, size):
            yield order[start : start + size]

    def _step(self, optimisation: Optimisation, step: int, rows: NDArray[np.int64]) -> None:
        rng = np.random.default_rng((self.seed, 1, step))
        optimisation.set_rates(step)
        x = self.recipe.batch_view(self._look(rows, rng), rng)
        labels = torch.from_numpy(self._labels[rows])
        loss = functional.cross_entropy(optimisation.network(x), labels, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimisation.update(step)

    def _look(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Change photos at random, on all cores: float32 `[n, 3, size, size]` in 0..1."""

        def view(row: int, own: np.random.Generator) -> Image.Image:
            return self.recipe.view(self._photos[row], self.size, own)

        return as_batch(list(self._pool.map(view, rows, rng.spawn(len(rows)))))

    def _test(self, network: nn.Module) -> NDArray[np.bool_]:
        def view(photo: Photo) -> Image.Image:
            return centre_crop(photo.open(), self.size, share=self.recipe.test_share, resample=self.recipe.resample)

        network.eval()
        right: list[bool] = []
        with self.progress.task(f"{self.recipe.title}: testing", len(self.task.test)) as bar, torch.inference_mode():
            for start in range(0, len(self.task.test), _TEST_BATCH):
                photos = self.task.test[start : start + _TEST_BATCH]
                answers = network(as_batch(list(self._pool.map(view, photos)))).argmax(1).tolist()
                right += [answer == photo.label for answer, photo in zip(answers, photos, strict=True)]
                bar.advance(len(photos))
        return np.array(right)


def as_batch(images: Sequence[Image.Image]) -> Tensor:
    """Stack pictures of one size to float32 `[N, 3, H, W]` in 0..1, channels last in memory."""
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
    return pixels.permute(0, 3, 1, 2).float() / 255
