"""What an extension costs the old classes, estimated with stand-ins for the photos that they were tested with.

Stand-ins are easier than photos, so accuracy after the extension is an upper estimate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.card.metrics import ExtensionMetrics, LostRecall
from whisker.training.extend.last_layer import HeldOutAnswers, Replayed


def measure_cost(classes: tuple[str, ...], replayed: Replayed, answers: HeldOutAnswers) -> ExtensionMetrics:
    """Compare the old answers for held-out photos with the new ones for their stand-ins; measure new classes apart."""
    best = answers.logits.argmax(2)
    right = (best == answers.labels).mean(0)
    is_new = ~np.isin(answers.labels, replayed.old)
    new = np.unique(answers.labels[is_new])
    stand_ins = _StandIns(
        answers.labels[: answers.drawn],
        replayed.was_right[replayed.answered],
        right[: answers.drawn],
        np.stack([(best[:, : answers.drawn] == label).mean(0) for label in new], axis=1),
    )
    lost = stand_ins.loses_most()
    return ExtensionMetrics(
        new_classes=tuple(classes[label] for label in new),
        new_photos=int(is_new.sum()),
        new_accuracy=round(float(right[is_new].mean()), 4),
        drawn=answers.drawn,
        old_accuracy_before=_share(stand_ins.before),
        old_accuracy=_share(stand_ins.after),
        lost=None
        if lost is None
        else LostRecall(
            label=classes[lost.label],
            to=None if lost.to is None else classes[new[lost.to]],
            before=round(lost.before, 4),
            after=round(lost.after, 4),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Loss:
    """The recall of a class before and after, and the position of the new class that took most of its photos."""

    label: int
    to: int | None
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class _StandIns:
    """Labels `[M]`, how often each was answered rightly before and after, and with each new class `[M, new]`."""

    labels: NDArray[np.int64]
    before: NDArray[np.bool_]
    after: NDArray[np.float64]
    taken: NDArray[np.float64]

    def loses_most(self) -> _Loss | None:
        """Find the old class whose recall falls most; `None` if none falls."""
        losses = [self._loss(label) for label in np.unique(self.labels)]
        worst = max(losses, key=lambda loss: loss.before - loss.after, default=None)
        return None if worst is None or worst.after >= worst.before else worst

    def _loss(self, label: int) -> _Loss:
        own = self.labels == label
        taken = self.taken[own].sum(0)
        to = int(taken.argmax()) if taken.any() else None
        return _Loss(int(label), to, float(self.before[own].mean()), float(self.after[own].mean()))


def _share(right: NDArray[np.bool_] | NDArray[np.float64]) -> float | None:
    return round(float(right.mean()), 4) if len(right) else None
