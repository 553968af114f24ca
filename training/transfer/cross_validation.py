"""Cross-validation: every photo is answered by networks that were trained without it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whisker.training.data.split import SKIP_SMALL
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress
from whisker.training.transfer.folds import assign_folds
from whisker.training.transfer.probe import ProbeData, fit_probe

MAX_FOLDS = 5
_ANSWERS = 2_000  # photos times repeats, about: more repeats of many photos would show little more
_MAX_REPEATS = 4
TRIES = 200  # to divide groups that span classes
GROUPS_TOO_LARGE = (
    "The groups are too large to hold some out without losing a whole class: name smaller groups with --groups."
)

# Trains candidates on the photos in the first array of positions, and gives their logits for those in the second:
# float32 `[candidates, n, classes]`.
TrainAndAnswer = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


def count_folds(labels: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str]) -> int:
    """Choose how many folds there can be: each class needs photos of different groups on both sides of every fold.

    Raises `DatasetError` for a class with a single group.
    """
    return require_folds([len(np.unique(groups[labels == label])) for label in range(len(classes))], classes)


def require_folds(different: Sequence[int], classes: Sequence[str]) -> int:
    """Choose the number of folds for classes with so many `different` groups; raise `DatasetError` for less than 2."""
    fewest = int(np.argmin(different))
    if different[fewest] < 2:
        raise DatasetError(
            f"The class {classes[fewest]!r} has only 1 different readable photo, as look-alikes and photos of a group "
            f"count as one: it needs at least 2, one to train and one to test with: {SKIP_SMALL}."
        )
    return min(MAX_FOLDS, different[fewest])


def count_repeats(photos: int) -> int:
    """Choose how often the photos are divided anew."""
    return min(_MAX_REPEATS, max(1, _ANSWERS // photos))


def divide(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, folds: int, repeats: int, seed: int
) -> NDArray[np.int64]:
    """Assign a fold to each of N photos, anew in every repeat: `[repeats, N]`.

    Raises `DatasetError` if groups that span classes leave no way to hold out a fold without a whole class.
    """
    return np.stack([_spread(labels, groups, folds, (seed, 5, repeat)) for repeat in range(repeats)])


def _spread(
    labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: tuple[int, ...]
) -> NDArray[np.int64]:
    """Divide once, trying again while all photos of a class are in one fold."""
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        fold_of = assign_folds(labels, groups, folds, rng)
        if all(len(np.unique(fold_of[labels == label])) > 1 for label in np.unique(labels)):
            return fold_of
    raise DatasetError(GROUPS_TOO_LARGE)


def cross_validate(
    fold_of: NDArray[np.int64], run: TrainAndAnswer, name: str, progress: Progress
) -> NDArray[np.float32]:
    """Answer each photo by what `run` trains on the other folds of `fold_of` `[R, N]`.

    Returns logits `[candidates, R, N, classes]`.
    """
    folds = int(fold_of.max()) + 1
    logits: NDArray[np.float32] | None = None
    with progress.task(name, fold_of.size) as task:
        for repeat, folds_of_photos in enumerate(fold_of):
            for fold in range(folds):
                held = folds_of_photos == fold
                answers = run(np.flatnonzero(~held), np.flatnonzero(held))
                if logits is None:
                    logits = np.empty((len(answers), *fold_of.shape, answers.shape[2]), np.float32)
                logits[:, repeat, held] = answers
                task.advance(int(held.sum()))
    assert logits is not None  # noqa: S101 - there are two folds at least
    return logits


def probe_runner(data: ProbeData, *, penalty: float, balance: float) -> TrainAndAnswer:
    """Make the run of a linear probe, the one candidate."""

    def run(train: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.float32]:
        head = fit_probe(data.take(train), penalty=penalty, balance=balance)
        return head.logits(data.features[0, held])[None]

    return run
