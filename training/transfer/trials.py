"""How candidates are tried on photos that they were not trained on: set aside, or held out in turn."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.checkpoint.contents import HeldOut
from whisker.model.engines.base import Engine
from whisker.training.config import TransferRecipe
from whisker.training.data.dataset import Split
from whisker.training.progress import Progress
from whisker.training.transfer.cross_validation import count_folds, count_repeats, cross_validate, divide, probe_runner
from whisker.training.transfer.probe import ProbeData
from whisker.training.transfer.tuning import Tuning


class Trial(ABC):
    """A way to try candidates; logits are float32 `[R, N, classes]` for N photos with `labels` `[N]`, in R repeats."""

    labels: NDArray[np.int64]
    trainings: float  # that trying takes, in trainings on all photos, with that of the final network
    folds: int | None = None  # of a cross-validation

    @abstractmethod
    def try_probe(self, head: Head) -> NDArray[np.float32]:
        """Give the logits of the probe; `head` is the one fitted to all training photos."""

    @abstractmethod
    def prepare(self, trunk: Engine) -> None:
        """Get ready for fine-tuning, with the parts that stay frozen."""

    @abstractmethod
    def try_tuning(self, tuning: Tuning) -> NDArray[np.float32]:
        """Give the logits of fine-tuned candidates: `[candidates, R, N, classes]`."""

    @abstractmethod
    def held_out(self, logits: NDArray[np.float32]) -> HeldOut | None:
        """Give a candidate's logits as calibration needs them, if that has no other photos."""


class Validation(Trial):
    """The photos of the validation split; what is tried is trained on all training photos, and need not be again."""

    def __init__(self, photos: ProbeData, pixels: Split, progress: Progress) -> None:
        self.labels = photos.labels
        self.trainings = 2.0  # one to try, one to finish
        self._features, self._pixels, self._progress = photos.features[0], pixels, progress
        self._trunk: Engine | None = None

    def try_probe(self, head: Head) -> NDArray[np.float32]:
        return head.logits(self._features)[None]

    def prepare(self, trunk: Engine) -> None:
        self._trunk = trunk

    def try_tuning(self, tuning: Tuning) -> NDArray[np.float32]:
        assert self._trunk is not None  # noqa: S101 - prepared before
        return tuning.validate(self._trunk, self._pixels, self._progress)[:, None]

    def held_out(self, logits: NDArray[np.float32]) -> HeldOut | None:
        del logits  # calibration has the validation split
        return None


class CrossValidation(Trial):
    """All photos, each held out in turn; fine-tuned candidates are tried in one repeat only."""

    def __init__(
        self, photos: ProbeData, fold_of: NDArray[np.int64], recipe: TransferRecipe, progress: Progress
    ) -> None:
        self.labels = photos.labels
        self.folds = int(fold_of.max()) + 1
        self.trainings = self.folds
        self._photos, self._fold_of, self._recipe, self._progress = photos, fold_of, recipe, progress

    @classmethod
    def of(
        cls,
        photos: ProbeData,
        groups: NDArray[np.int64],
        classes: Sequence[str],
        recipe: TransferRecipe,
        *,
        seed: int,
        progress: Progress,
    ) -> Self:
        """Divide the photos; raise `DatasetError` if a class has too few."""
        folds, repeats = count_folds(photos.labels, groups, classes), count_repeats(len(photos.labels))
        return cls(photos, divide(photos.labels, groups, folds=folds, repeats=repeats, seed=seed), recipe, progress)

    def try_probe(self, head: Head) -> NDArray[np.float32]:
        del head  # it has seen all photos
        run = probe_runner(self._photos, penalty=self._recipe.penalty, balance=self._recipe.balance)
        logits: NDArray[np.float32] = cross_validate(self._fold_of, run, "Cross-validating", self._progress)[0]
        return logits

    def prepare(self, trunk: Engine) -> None:
        del trunk  # all photos are training photos

    def try_tuning(self, tuning: Tuning) -> NDArray[np.float32]:
        return cross_validate(self._fold_of[:1], tuning.try_on, "Trying fine-tuning", self._progress)

    def held_out(self, logits: NDArray[np.float32]) -> HeldOut | None:
        return hold_out(logits, self._fold_of[: len(logits)])


def hold_out(logits: NDArray[np.float32], fold_of: NDArray[np.int64]) -> HeldOut:
    """Give logits `[R, N, classes]` of folds `[R, N]` as a checkpoint keeps them."""
    return HeldOut(logits.astype(np.float16).astype(np.float32), fold_of)
