"""The last layer of an extended network: linear discriminants of old classes' statistics and new classes' photos.

Beside it, its answers for held-out photos: real ones by cross-validation, and stand-ins for those that the checkpoint
was tested with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.checkpoint.statistics import ClassStatistics
from whisker.training.progress import Progress
from whisker.training.replay.discriminant import fit_discriminants
from whisker.training.replay.drawing import draw_answered
from whisker.training.transfer.cross_validation import count_repeats, divide
from whisker.training.transfer.probe import ProbeData


@dataclass(frozen=True, slots=True)
class Replayed:
    """What stands in for the old photos: their statistics, the layer that they were answered by, and their numbers.

    `old` `[C]` are the numbers of the C old classes among all classes, `counts` `[C]` how many photos of each the
    statistics stand for: none of a class whose own photos are all there.
    """

    statistics: ClassStatistics
    head: Head
    old: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def was_right(self) -> NDArray[np.bool_]:
        """Tell which held-out photos were answered rightly before."""
        right: NDArray[np.bool_] = self.statistics.logits.argmax(1) == self.statistics.labels
        return right

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Mark those that photos are missing of, among the held-out photos that the checkpoint was tested with."""
        marked: NDArray[np.bool_] = self.counts[self.statistics.labels] > 0
        return marked

    def draw_answered(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw stand-ins for these held-out photos: features `[M, F]` and labels `[M]`."""
        features = draw_answered(self.statistics, self.head, rng)
        return features[self.answered], self.old[self.statistics.labels[self.answered]]


@dataclass(frozen=True, slots=True)
class HeldOutAnswers:
    """Answers for held-out photos in R repeats: logits `[R, N, classes]`, labels `[N]`, and folds `[R, N]`.

    The first `drawn` are for stand-ins, the others for real photos, in their order.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    drawn: int


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The fit: real features `[V, N, F]` with the numbers `[N]` of their groups, and what stands in for old photos."""

    photos: ProbeData
    groups: NDArray[np.int64]
    replayed: Replayed
    seed: int

    def fit(self) -> Head:
        """Fit the layer to everything."""
        return self._fit(self.photos)

    def cross_validate(self, folds: int, progress: Progress) -> HeldOutAnswers:
        """Answer each real photo and each stand-in by a layer that was fitted without it."""
        repeats = count_repeats(len(self.photos.labels) + int(self.replayed.counts.sum()))
        fold_of = divide(self.photos.labels, self.groups, folds=folds, repeats=repeats, seed=self.seed)
        stand_ins, own = self.replayed.draw_answered(np.random.default_rng((self.seed, 10)))
        logits = np.empty((repeats, len(own) + len(self.photos.labels), self.photos.classes), np.float32)
        all_folds = np.concatenate([self._deal(len(own), folds, repeats), fold_of], axis=1)
        everything = np.concatenate([stand_ins, self.photos.features[0]])
        with progress.task("Cross-validating", repeats * folds) as task:
            for repeat in range(repeats):
                for fold in range(folds):
                    head = self._fit(self.photos.take(np.flatnonzero(fold_of[repeat] != fold)))
                    held = all_folds[repeat] == fold
                    logits[repeat, held] = head.logits(everything[held])
                    task.advance(1)
        return HeldOutAnswers(logits, np.concatenate([own, self.photos.labels]), all_folds, len(own))

    def _fit(self, photos: ProbeData) -> Head:
        """Fit the layer to some of the real photos, and to the means of those that are missing."""
        replayed = self.replayed
        sums = np.zeros((photos.classes, photos.features.shape[2]))
        np.add.at(sums, photos.labels, photos.features.mean(0))
        counts = np.bincount(photos.labels, minlength=photos.classes)
        sums[replayed.old] += replayed.counts[:, None] * replayed.statistics.means
        counts[replayed.old] += replayed.counts
        return fit_discriminants(replayed.statistics, (sums / counts[:, None]).astype(np.float32))

    def _deal(self, stand_ins: int, folds: int, repeats: int) -> NDArray[np.int64]:
        rng = np.random.default_rng((self.seed, 12))
        return np.stack([rng.permutation(stand_ins) % folds for _ in range(repeats)])
