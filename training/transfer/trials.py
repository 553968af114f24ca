"""How candidates are tried on photos that they were not trained on: set aside, or held out in turn."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.checkpoint.contents import HeldOut
from whisker.model.engines.base import Engine
from whisker.training.config import TransferRecipe
from whisker.training.data.dataset import Split
from whisker.training.progress import Progress
from whisker.training.transfer.cross_validation import count_folds, count_repeats, cross_validate, divide, probe_runner
from whisker.training.transfer.fine_tuning.plan import TuningPlan
from whisker.training.transfer.fine_tuning.tuning import Tuning
from whisker.training.transfer.probe import ProbeData

FEW_FOLDS = 3  # where fine-tuning takes too long for more


class Trial(ABC):
    """A way to try candidates; logits are float32 `[R, N, classes]` for N photos with `labels` `[N]`, in R repeats."""

    labels: NDArray[np.int64]
    trainings: tuple[float, ...]  # that trying may take, with that of the final network; the best way is first
    folds: int | None = None  # of a cross-validation

    @abstractmethod
    def try_probe(self, head: Head) -> NDArray[np.float32]:
        """Give the logits of the probe; `head` is the one fitted to all training photos."""

    @abstractmethod
    def prepare(self, trunk: Engine, plan: TuningPlan) -> None:
        """Get ready for fine-tuning by a plan, with the parts that stay frozen."""

    @abstractmethod
    def try_tuning(self, tuning: Tuning, probe: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the logits of the probe, and of fine-tuned candidates: `[1 + candidates, 1, N, classes]`.

        Those of the probe, known as `probe`, are given anew where it is tried in another way.
        """

    @abstractmethod
    def held_out(self, logits: NDArray[np.float32], *, tuned: bool) -> HeldOut | None:
        """Give a candidate's logits as calibration needs them, if that has no other photos."""


class Validation(Trial):
    """The photos of the validation split; what is tried is trained on all training photos, and need not be again."""

    def __init__(self, photos: ProbeData, pixels: Split) -> None:
        self.labels = photos.labels
        self.trainings = (1.0,)  # what is tried is the final network
        self._features, self._pixels = photos.features[0], pixels
        self._trunk: Engine | None = None

    def try_probe(self, head: Head) -> NDArray[np.float32]:
        return head.logits(self._features)[None]

    def prepare(self, trunk: Engine, plan: TuningPlan) -> None:
        del plan
        self._trunk = trunk

    def try_tuning(self, tuning: Tuning, probe: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self._trunk is not None  # noqa: S101 - prepared before
        return np.concatenate([probe[None, :1], tuning.validate(self._trunk, self._pixels)[:, None]])

    def held_out(self, logits: NDArray[np.float32], *, tuned: bool) -> HeldOut | None:
        del logits, tuned  # calibration has the validation split
        return None


class CrossValidation(Trial):
    """All photos, each held out in turn; fine-tuned candidates are tried in one repeat, perhaps of fewer folds."""

    def __init__(
        self,
        photos: ProbeData,
        groups: NDArray[np.int64],
        classes: Sequence[str],
        recipe: TransferRecipe,
        *,
        seed: int,
        progress: Progress,
    ) -> None:
        """Divide the photos; raise `DatasetError` if a class has too few."""
        self.labels = photos.labels
        most = count_folds(photos.labels, groups, classes)
        self.folds = most
        self.trainings = tuple(sorted({float(folds) for folds in (most, FEW_FOLDS) if folds <= most}, reverse=True))
        self._photos, self._groups, self._seed, self._progress = photos, groups, seed, progress
        self._run = probe_runner(photos, penalty=recipe.penalty, balance=recipe.balance)
        self._fold_of = self._divide(most, count_repeats(len(photos.labels)))
        self._tuning_fold_of = self._fold_of[:1]

    def try_probe(self, head: Head) -> NDArray[np.float32]:
        del head  # it has seen all photos
        logits: NDArray[np.float32] = cross_validate(self._fold_of, self._run, "Cross-validating", self._progress)[0]
        return logits

    def prepare(self, trunk: Engine, plan: TuningPlan) -> None:
        del trunk  # all photos are training photos
        if plan.trainings < max(self.trainings):
            self._tuning_fold_of = self._divide(int(plan.trainings), 1)

    def try_tuning(self, tuning: Tuning, probe: NDArray[np.float32]) -> NDArray[np.float32]:
        folds = self._tuning_fold_of
        same = np.array_equal(folds, self._fold_of[:1])
        again = probe[None, :1] if same else cross_validate(folds, self._run, "Cross-validating", self._progress)
        return np.concatenate([again, cross_validate(folds, tuning.try_on, "Trying fine-tuning", self._progress)])

    def held_out(self, logits: NDArray[np.float32], *, tuned: bool) -> HeldOut | None:
        return hold_out(logits, self._tuning_fold_of if tuned else self._fold_of)

    def _divide(self, folds: int, repeats: int) -> NDArray[np.int64]:
        return divide(self.labels, self._groups, folds=folds, repeats=repeats, seed=self._seed)


def hold_out(logits: NDArray[np.float32], fold_of: NDArray[np.int64]) -> HeldOut:
    """Give logits `[R, N, classes]` of folds `[R, N]` as a checkpoint keeps them."""
    return HeldOut(logits.astype(np.float16).astype(np.float32), fold_of)
