"""Distillation: a small dense network learns to answer as the transferred one does, and is served in its place.

Both see the same crops, also mixed ones, each at its own size, for many epochs (function matching, Beyer et al. 2022).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whisker.model.answers.decision_rule import softmax
from whisker.model.engines.base import Engine
from whisker.training.config import TrainingConfig
from whisker.training.data.dataset import Split
from whisker.training.fit.loop import Trainer, TrainingResult
from whisker.training.pretrained.weights import Pretrained
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class EngineTeacher:
    """A teacher that answers by an engine for pictures of its own size, with probabilities at a temperature."""

    engine: Engine
    size: int
    temperature: float

    def __call__(self, x: Tensor) -> Tensor:
        """Answer for float32 `[N, 3, size, size]` RGB in 0..1 with probabilities `[N, classes]`."""
        pixels = (x * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        return torch.from_numpy(softmax(self.engine.run(list(pixels)).logits, self.temperature))


def train_student(
    config: TrainingConfig,
    train: Split,
    validation: Split,
    teacher: EngineTeacher,
    *,
    classes: tuple[str, ...],
    start: Pretrained | None,
    state_file: Path,
    run: Mapping[str, Any],
    device: str,
    progress: Progress,
) -> TrainingResult:
    """Train the network of `config` by the teacher's answers; `validation` has the pixels of its serving size.

    An interrupted training is resumed from `state_file`. Raises as `Trainer.fit` does.
    """
    trainer = Trainer(
        config, train, validation, classes=classes, device=device, progress=progress, pretrained=start, teacher=teacher
    )
    return trainer.fit(state_file, run)
