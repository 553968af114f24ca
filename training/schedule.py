"""Which epoch, picture size and learning rate each step has: pure functions of the step."""

import math
from dataclasses import dataclass

from training.config import Recipe, training_size


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of a training: one picture size an epoch, and the steps of an epoch."""

    sizes: tuple[int, ...]  # pixels, one an epoch
    batch_size: int
    epoch_steps: int
    peak_learning_rate: float
    warmup_steps: int

    @property
    def epochs(self) -> int:
        """Count the epochs."""
        return len(self.sizes)

    @property
    def steps(self) -> int:
        """Count the steps of the whole training."""
        return self.epochs * self.epoch_steps

    def learning_rate(self, step: int) -> float:
        """Rise linearly over the warm-up, then fall linearly to zero at the end."""
        rising = (step + 1) / self.warmup_steps
        falling = (self.steps - step) / max(1, self.steps - self.warmup_steps)
        return self.peak_learning_rate * min(rising, falling)

    def cost(self, step: int) -> float:
        """Estimate a step's work in photos of the last size: convolutions cost in proportion to the area."""
        return self.batch_size * (self.sizes[step // self.epoch_steps] / self.sizes[-1]) ** 2


def plan(recipe: Recipe, photos: int, size: int) -> Schedule:
    """Plan the training of `photos` training photos for a serving size in pixels.

    Few photos: smaller batches, so that an epoch has steps, and repeated epochs up to the recipe's minimum.
    """
    batch_size = min(recipe.batch_size, max(8, photos // 16), photos)
    epoch_steps = photos // batch_size
    planned = epoch_steps * sum(stage.epochs for stage in recipe.stages)
    repeats = max(1, math.ceil(recipe.minimum_steps / planned))
    sizes = [training_size(stage, size) for stage in recipe.stages for _ in range(stage.epochs * repeats)]
    return Schedule(
        sizes=tuple(sizes),
        batch_size=batch_size,
        epoch_steps=epoch_steps,
        peak_learning_rate=recipe.peak_learning_rate * batch_size / recipe.batch_size,
        warmup_steps=max(1, round(recipe.warmup * epoch_steps * len(sizes))),
    )
