"""How to fine-tune in the time that is left: from which part on, with how many views and epochs."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from whisker.model.networks.base import Network
from whisker.training.config import FineTuning
from whisker.training.transfer.fine_tuning.tail import Tail, fine_tune
from whisker.training.transfer.fine_tuning.trunk import StoredActivations, trunk_shape

_MAX_BYTES = 1_500_000_000  # of activations
_FEW_PHOTOS = 300  # that the recipe's epochs are meant for
_MIN_EPOCHS = 3
_MIN_VIEWS = 2
_TIMED_BATCHES = 3
_COMPUTING = 1.6  # how much longer a step takes where activations are not stored
_MAX_GROWTH = 4  # times the epochs wanted, with much time


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """The first part that is trained, the views of each photo that are stored (0: none are), and the epochs.

    `trainings` is what trying and finishing it takes, in trainings on all photos.
    """

    cut: int
    views: int
    epochs: int
    trainings: float


def plan_tuning(
    network: Network,
    recipe: FineTuning,
    *,
    photos: int,
    size: int,
    trainings: Sequence[float],
    seconds: float,
    device: str,
) -> TuningPlan | None:
    """Choose the earliest cut whose `trainings` on `photos` photos fit the time; `None` if none does.

    There may be several ways to try it, the best of which are first. Each cut is measured by a few steps on random
    activations. If none fits, half of the epochs may. If the recipe says so, there are as many epochs as fit the time.
    """
    if seconds <= 0:
        return None
    wanted = max(_MIN_EPOCHS, min(recipe.epochs, round(recipe.epochs * (_FEW_PHOTOS / photos) ** 0.35)))
    measured = {
        tail: _measure(network, len(network.parts()) - tail, recipe, size, device) for tail in network.tail_parts
    }
    whole = itertools.product(trainings, reversed(network.tail_parts), [wanted])
    half = itertools.product(trainings, [network.tail_parts[0]], [-(-wanted // 2)])
    for times, tail, epochs in itertools.chain(whole, half):
        photo_seconds, photo_bytes = measured[tail]
        views = min(recipe.views, _MAX_BYTES // (photos * photo_bytes))
        if views < _MIN_VIEWS:
            views, photo_seconds = 0, photo_seconds * _COMPUTING
        affordable = int(seconds / (times * photos * photo_seconds))
        if affordable >= epochs:
            most = min(affordable, _MAX_GROWTH * wanted) if recipe.fill_time else epochs
            return TuningPlan(len(network.parts()) - tail, views, most, times)
    return None


def _measure(network: Network, cut: int, recipe: FineTuning, size: int, device: str) -> tuple[float, int]:
    """Time steps of fine-tuning: the seconds that a photo takes, and the bytes of a view's activations."""
    shape = trunk_shape(network, cut, size)
    photos = _TIMED_BATCHES * recipe.batch_size
    activations = StoredActivations(torch.rand(1, photos, *shape).half())
    rows, labels = np.arange(photos), np.zeros(photos, np.int64)
    seconds = []
    for _ in range(2):  # the first includes set-up
        started = time.perf_counter()
        fine_tune(Tail(network, cut), activations, rows, labels, recipe, epochs=1, seed=0, device=device)
        seconds.append(time.perf_counter() - started)
    return min(seconds) / photos, 2 * int(np.prod(shape))
