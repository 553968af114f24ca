"""A teacher and its student see the same crops, each at its own size."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model import NetworkConfig
from whisker.model.answers.head import Head
from whisker.model.engines.base import Engine
from whisker.training.config import PRESETS, TrainingConfig
from whisker.training.data.dataset import Split
from whisker.training.fit.loop import Trainer
from whisker.training.fit.teachers import Lesson, SelfTeacher
from whisker.training.progress import Progress

NETWORK = NetworkConfig(width=4, depth=1, size=64)


@dataclass
class Watcher:
    """A teacher that keeps what it is shown, and is always sure of the first class."""

    size: int
    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, x: Tensor, shares: Tensor) -> Lesson:
        assert shares.shape == (len(x), 2)
        self.seen.append(x)
        return Lesson(torch.tensor([1.0, 0.0]).expand(len(x), 2))


def photos(size: int) -> Split:
    """Draw photos of fine stripes, which are gone at half of their size."""
    pixels = np.zeros((8, size, size, 3), np.uint8)
    pixels[:, ::2] = 255
    numbers = np.arange(8)
    return Split(pixels, numbers, numbers % 2, groups=numbers)


@pytest.mark.parametrize("size", [32, 96])
def test_teacher_sees_the_crops_of_its_student_at_its_own_size(size: int, quiet: Progress) -> None:
    teacher, split = Watcher(size), photos(96)
    config = TrainingConfig(PRESETS["best"], NETWORK, dtype="float32")
    trainer = Trainer(config, split, split, classes=("a", "b"), device="cpu", progress=quiet, teacher=teacher)
    for epoch in (0, trainer.schedule.epochs - 1):
        x, lesson = trainer.batch(0, epoch, 0)
        assert x.shape[2:] == (trainer.schedule.sizes[epoch],) * 2
        assert lesson.answers[:, 0].tolist() == [1.0] * len(x)
        seen = teacher.seen.pop()
        assert seen.shape == (len(x), 3, size, size)
        shown, taught = (functional.interpolate(batch, (8, 8), mode="bilinear", antialias=True) for batch in (x, seen))
        assert torch.allclose(shown, taught, atol=0.05)


def test_network_that_teaches_itself_gives_features_and_halves_the_labels() -> None:
    class Fixed(Engine):
        def _embed(self, batch: NDArray[np.uint8], *, with_maps: bool) -> tuple[NDArray[np.float32], None]:  # noqa: ARG002
            return np.full((len(batch), 3), 7, np.float32), None

    head = Head(np.zeros((2, 3), np.float32), np.log(np.array([0.2, 0.8], np.float32)))
    teacher = SelfTeacher(Fixed(head, "cpu"), 8, smoothing=0.1)
    lesson = teacher(torch.zeros(1, 3, 8, 8), torch.tensor([[1.0, 0.0]]))
    assert torch.allclose(lesson.answers, torch.tensor([[(0.95 + 0.2) / 2, (0.05 + 0.8) / 2]]))
    assert lesson.features is not None
    assert lesson.features.tolist() == [[7.0] * 3]


def test_features_that_are_taught_count_in_the_loss(quiet: Progress) -> None:
    split = photos(64)
    config = TrainingConfig(PRESETS["best"], NETWORK, dtype="float32")
    trainer = Trainer(config, split, split, classes=("a", "b"), device="cpu", progress=quiet)
    x, lesson = trainer.batch(0, trainer.schedule.epochs - 1, 0)
    trainer.state.network.train()
    own = trainer.state.network.embed(x).detach()
    plain = trainer.backward(x, lesson)
    assert trainer.backward(x, replace(lesson, features=own)) == pytest.approx(plain, rel=1e-5)
    # Farther by one deviation of the features: one more in the loss.
    far = own + own.var(0, unbiased=False).mean().sqrt()
    assert trainer.backward(x, replace(lesson, features=far)) == pytest.approx(plain + 1, rel=1e-3)


def test_teacher_sees_details_that_its_student_does_not(quiet: Progress) -> None:
    teacher, split = Watcher(96), photos(96)
    config = TrainingConfig(PRESETS["best"], NETWORK, dtype="float32")
    trainer = Trainer(config, split, split, classes=("a", "b"), device="cpu", progress=quiet, teacher=teacher)
    x, _ = trainer.batch(0, trainer.schedule.epochs - 1, 0)  # not mixed
    assert float(teacher.seen[0].std()) > 1.2 * float(x.std())
