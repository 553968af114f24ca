"""Whether more photos would help: accuracy of probes on parts of the photos, and what twice as many would bring.

Errors of a classifier fall with the number of photos about as a power law (Hestness et al. 2017), a straight line in
logarithms, which is fitted and extended by one doubling.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from whisker.model.card.metrics import CurvePoint, LearningCurve
from whisker.training.config import TransferRecipe
from whisker.training.progress import Progress
from whisker.training.transfer.folds import assign_folds
from whisker.training.transfer.probe import ProbeData, fit_probe

_HALVINGS = 3  # parts of 1/8, 1/4, 1/2 and all of the training photos
_MIN_PHOTOS_A_CLASS = 2  # of the smallest part
_REPEATS = 3
_HALF_ERROR = 0.5  # added to errors: none seen is not none
_DRAWS = 400  # of the bootstrap
T = TypeVar("T", float, NDArray[np.float64])


def measure_learning_curve(
    data: ProbeData,
    groups: NDArray[np.int64],
    kept: NDArray[np.float64],
    *,
    folds: int,
    recipe: TransferRecipe,
    seed: int,
    progress: Progress,
) -> LearningCurve | None:
    """Measure the accuracy of probes on parts of the photos, each on photos held out, and extend the curve.

    `kept` `[N]` is the share of right answers of the network that is kept for each photo, held out, too: its errors are
    expected to fall as those of the probes do. The interval is a bootstrap's, over photos. Returns `None` where photos
    are too few to take parts of.
    """
    parts = _parts(data.labels, folds)
    if len(parts) < 2:
        return None
    right = _right_answers(  # [parts, repeats, N]
        data, groups, parts, folds=folds, recipe=recipe, seed=seed, progress=progress
    )
    sizes = np.array([round(part * len(data.labels) * (folds - 1) / folds) for part in parts])
    # From parts of (folds - 1) / folds of the photos to twice all of them.
    target = 2 * len(data.labels)
    per_photo = right.mean(1)  # [parts, N], 0..1
    rng = np.random.default_rng((seed, 7))
    draws = rng.integers(0, len(data.labels), (_DRAWS, len(data.labels)))
    drawn = np.stack([per_photo[:, draw].mean(1) for draw in draws])  # [draws, parts]
    remaining = _remaining(sizes, per_photo.mean(1), target, len(data.labels))
    doubled = [
        1 - _smooth(kept[draw].mean(), len(data.labels)) * _remaining(sizes, accuracy, target, len(data.labels))
        for draw, accuracy in zip(draws, drawn, strict=True)
    ]
    return LearningCurve(
        measured=tuple(_point(int(size), drawn[:, i], per_photo[i].mean()) for i, size in enumerate(sizes)),
        doubled=_point(target, np.array(doubled), 1 - (1 - kept.mean()) * remaining),
        gains=tuple(
            _gain(per_photo[:, own], kept[own].mean(), sizes, target)
            for own in (data.labels == label for label in range(data.classes))
        ),
    )


def _parts(labels: NDArray[np.int64], folds: int) -> list[float]:
    """List the parts, ascending, that leave every class a few photos."""
    fewest = np.bincount(labels).min() * (folds - 1) / folds
    return [2.0**-h for h in range(_HALVINGS, -1, -1) if fewest * 2.0**-h >= _MIN_PHOTOS_A_CLASS]


def _right_answers(
    data: ProbeData,
    groups: NDArray[np.int64],
    parts: list[float],
    *,
    folds: int,
    recipe: TransferRecipe,
    seed: int,
    progress: Progress,
) -> NDArray[np.bool_]:
    """Tell for each part and repeat which photos are answered rightly when held out: `[parts, repeats, N]`."""
    right = np.zeros((len(parts), _REPEATS, len(data.labels)), np.bool_)
    with progress.task("Measuring what more photos bring", _REPEATS * folds * len(parts)) as task:
        for repeat in range(_REPEATS):
            rng = np.random.default_rng((seed, 6, repeat))
            fold_of = assign_folds(data.labels, groups, folds, rng)
            for fold in range(folds):
                train, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
                order = rng.permutation(train)
                for index, part in enumerate(parts):
                    taken = data.take(_take_part(order, data.labels, part))
                    head = fit_probe(taken, penalty=recipe.penalty, balance=recipe.balance)
                    answers = head.logits(data.features[0, held]).argmax(1)
                    right[index, repeat, held] = answers == data.labels[held]
                    task.advance(1, photos=len(held))
    return right


def _take_part(order: NDArray[np.int64], labels: NDArray[np.int64], part: float) -> NDArray[np.int64]:
    """Take the first photos of each class in a shuffled order: a part of them, at least one."""
    if part == 1:
        return order
    members = [order[labels[order] == label] for label in np.unique(labels[order])]
    return np.concatenate([own[: max(1, round(part * len(own)))] for own in members])


def _remaining(sizes: NDArray[np.int64], accuracy: NDArray[np.float64], target: int, photos: int) -> float:
    """Extend a straight line through the logarithms of the errors: the share of them that is left at `target` photos.

    More photos are never expected to do harm.
    """
    slope = min(0.0, float(np.polyfit(np.log(sizes), np.log(_smooth(accuracy, photos)), 1)[0]))
    return float((target / sizes[-1]) ** slope)


def _smooth(accuracy: T, photos: int) -> T:
    """Add half an error to those among answers for `photos` photos: the share of errors, never 0."""
    return ((1 - accuracy) * photos + _HALF_ERROR) / (photos + 1)


def _gain(right: NDArray[np.float64], kept: float, sizes: NDArray[np.int64], target: int) -> float:
    """Compute the gain in a class's recall that is expected of twice as many photos.

    `right` `[parts, N]` are the shares of right answers of probes, `kept` is the recall of the network that is kept.
    """
    recall, photos = right.mean(1), right.shape[1]
    now, doubled = (_remaining(sizes, recall, number, photos) for number in (target // 2, target))
    return round(float(_smooth(kept, photos) * (now - doubled)), 4)


def _point(photos: int, drawn: NDArray[np.float64], accuracy: float) -> CurvePoint:
    """Describe a point; its interval holds it, also where it has no errors and the draws, smoothed, have some."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    low, high = min(low, accuracy), max(high, accuracy)
    return CurvePoint(photos, round(float(accuracy), 4), (round(float(low), 4), round(float(high), 4)))
