"""The epoch, picture size and learning rate of each step: pure functions of the step."""

import math
from dataclasses import dataclass

from whisker.training.config import Recipe, training_size


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of a training: the picture size of each epoch, and the steps in an epoch.

    An epoch is one pass over the photos or, if they are few, several passes.
    """

    sizes: tuple[int, ...]  # pixels, for each epoch
    batch_size: int
    pass_steps: int
    passes: int  # per epoch
    peak_learning_rate: float
    warmup_steps: int

    @property
    def epoch_steps(self) -> int:
        """Count the steps of an epoch."""
        return self.passes * self.pass_steps

    @property
    def epochs(self) -> int:
        """Count the epochs."""
        return len(self.sizes)

    @property
    def steps(self) -> int:
        """Count the steps of the whole training."""
        return self.epochs * self.epoch_steps

    def learning_rate(self, step: int) -> float:
        """Return a step's rate, which rises linearly during the warm-up, then falls linearly to zero."""
        rising = (step + 1) / self.warmup_steps
        falling = (self.steps - step) / max(1, self.steps - self.warmup_steps)
        return self.peak_learning_rate * min(rising, falling)

    def cost(self, step: int) -> float:
        """Estimate a step's work, in photos of the last size: the cost of convolutions is proportional to the area."""
        return self.batch_size * (self.sizes[step // self.epoch_steps] / self.sizes[-1]) ** 2


def plan(recipe: Recipe, photos: int, size: int, processes: int = 1) -> Schedule:
    """Plan a training on `photos` training photos for a serving size in pixels.

    With few photos, batches are smaller, and an epoch has several passes to reach the recipe's minimum of steps. The
    batch size is a multiple of `processes`, which share each batch.
    """
    batch_size = min(recipe.batch_size, max(8, photos // 16), photos)
    batch_size = max(processes, batch_size - batch_size % processes)
    pass_steps = photos // batch_size
    sizes = [training_size(stage, size) for stage in recipe.stages for _ in range(stage.epochs)]
    passes = max(1, math.ceil(recipe.minimum_steps / (pass_steps * len(sizes))))
    return Schedule(
        sizes=tuple(sizes),
        batch_size=batch_size,
        pass_steps=pass_steps,
        passes=passes,
        peak_learning_rate=recipe.peak_learning_rate * batch_size / recipe.batch_size,
        warmup_steps=max(1, round(recipe.warmup * pass_steps * passes * len(sizes))),
    )
