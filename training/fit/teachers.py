"""Teachers: networks that answer for photos in place of labels, or beside them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.answers.decision_rule import softmax
from whisker.model.engines.base import Engine


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a network should give for N photos: labels `[N]` or class shares `[N, classes]`, and perhaps features.

    Features are float32 `[N, F]`.
    """

    answers: Tensor
    features: Tensor | None = None

    def shares(self, classes: int) -> Tensor:
        """Give class shares `[N, classes]`, also of labels."""
        return self.answers if self.answers.ndim > 1 else functional.one_hot(self.answers, classes).float()

    def to(self, device: torch.device) -> "Lesson":
        """Move it to a device."""
        return Lesson(self.answers.to(device), None if self.features is None else self.features.to(device))


class Teacher(Protocol):
    """A source of what a network should give."""

    @property
    def size(self) -> int:
        """Width and height in pixels of the pictures that it answers for."""

    def __call__(self, x: Tensor, shares: Tensor) -> Lesson:
        """Answer for float32 `[N, 3, size, size]` RGB in 0..1; `shares` `[N, classes]` are what the labels say."""


@dataclass(frozen=True, slots=True)
class EngineTeacher:
    """A teacher that answers in place of labels, by an engine, with probabilities at a temperature."""

    engine: Engine
    size: int
    temperature: float

    def __call__(self, x: Tensor, shares: Tensor) -> Lesson:  # noqa: ARG002 - the teacher knows better
        """Answer for float32 `[N, 3, size, size]` RGB in 0..1 with probabilities `[N, classes]`."""
        return Lesson(torch.from_numpy(softmax(self.engine.run(_pixels(x)).logits, self.temperature)))


@dataclass(frozen=True, slots=True)
class SelfTeacher:
    """A network that teaches itself to see in smaller pictures what it sees in larger ones.

    Its features are to be given again (Romero et al. 2015), and the mean of its probabilities and of the labels, of
    which `smoothing` is shared among all classes.
    """

    engine: Engine
    size: int
    smoothing: float

    def __call__(self, x: Tensor, shares: Tensor) -> Lesson:
        """Answer for float32 `[N, 3, size, size]` RGB in 0..1 with shares `[N, classes]` and features `[N, F]`."""
        outputs = self.engine.run(_pixels(x))
        labels = shares * (1 - self.smoothing) + self.smoothing / shares.shape[1]
        answers = torch.from_numpy(softmax(outputs.logits, 1.0))
        return Lesson((labels + answers) / 2, torch.from_numpy(outputs.features))


def _pixels(x: Tensor) -> list[NDArray[np.uint8]]:
    """Convert float32 `[N, 3, H, W]` in 0..1 to N times uint8 `[H, W, 3]`."""
    return list((x * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())
