"""Classes of different sizes: how often the training loop shows each photo."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from whisker.model import NetworkConfig
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.data.dataset import Split
from whisker.training.fit.loop import Trainer
from whisker.training.progress import Progress

TINY = NetworkConfig(width=2, depth=1, size=32)


def shown(
    counts: Sequence[int], quiet: Progress, *, passes: int, seed: int = 0, balance: float = 0.5
) -> list[list[int]]:
    """List the positions that a trainer shows in each pass over classes with `counts` photos."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.zeros((len(labels), 40, 40, 3), np.uint8)
    split = Split(pixels, np.arange(len(labels)), labels, groups=np.arange(len(labels)))
    recipe = replace(recipe_for("quick", TINY, epochs=1), balance=balance)
    config = TrainingConfig(recipe, TINY, dtype="float32", seed=seed)
    names = [f"class {number}" for number in range(len(counts))]
    trainer = Trainer(config, split, split, classes=names, device="cpu", progress=quiet)
    return [trainer.order(number).tolist() for number in range(passes)]


def test_a_class_of_ten_times_the_photos_is_seen_three_times_as_often(quiet: Progress) -> None:
    passes = shown((600, 60), quiet, passes=20)
    assert all(len(order) == 660 for order in passes)
    large = np.mean([sum(position < 600 for position in order) for order in passes])
    assert large / (660 - large) == pytest.approx(10**0.5, rel=0.03)


@pytest.mark.parametrize(("balance", "ratio"), [(0.0, 10), (1.0, 1)])
def test_balance_goes_from_the_counts_as_they_are_to_equal_ones(quiet: Progress, balance: float, ratio: float) -> None:
    (order,) = shown((600, 60), quiet, passes=1, balance=balance)
    large = sum(position < 600 for position in order)
    assert large / (660 - large) == pytest.approx(ratio, rel=0.05)


def test_photos_of_a_class_are_shown_equally_often(quiet: Progress) -> None:
    """Each is shown as often as its odds say, rounded down or up; many passes show every photo of a large class."""
    passes = shown((600, 60), quiet, passes=30)
    times = np.bincount(np.concatenate(passes), minlength=660)
    assert times[:600].min() > 0
    assert times[:600].std() < 0.25 * times[:600].mean()
    for order in passes:
        once = np.bincount(order, minlength=660)
        assert set(once[:600].tolist()) <= {0, 1}
        assert set(once[600:].tolist()) <= {2, 3}


@pytest.mark.parametrize("counts", [(50, 50), (60, 40), (30, 30, 30)])
def test_balanced_classes_are_only_shuffled(quiet: Progress, counts: tuple[int, ...]) -> None:
    for order in shown(counts, quiet, passes=3):
        assert sorted(order) == list(range(sum(counts)))
        assert order != sorted(order)


@pytest.mark.parametrize("counts", [(50, 50), (100, 10)])
def test_order_depends_on_seed_and_pass_alone(quiet: Progress, counts: tuple[int, ...]) -> None:
    first, again, other = (shown(counts, quiet, passes=3, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first[0] != first[1]
