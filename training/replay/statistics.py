"""Measure the statistics of training photos' features that a checkpoint keeps."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whisker.model.checkpoint.statistics import MIN_PHOTOS, ClassStatistics

_MAX_FACTORS = 128  # of the shared covariance
_MAX_BYTES = 600_000  # of the factors in a file
_MAX_ANSWERS = 1_000  # for photos that were held out


def measure_statistics(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    photos: NDArray[np.int64],
    logits: NDArray[np.float32],
    answered: NDArray[np.int64],
) -> ClassStatistics | None:
    """Measure features `[N, F]` of photos with `labels` and `groups` `[N]`, equal for photos that look the same.

    They may be a sample of the training photos, of which each class has `photos` `[C]`. `logits` `[M, C]` are answers
    for photos that were held out, `answered` `[M]` their labels. Returns `None` if no class has four different photos,
    or features are too large for a file.
    """
    counts, means = _measure_means(features, labels, groups, photos)
    kept = counts[labels] > 0
    if not kept.any():
        return None
    classes, deviations = int((counts > 0).sum()), features[kept] - means[labels[kept]]
    averages = _average_fours(deviations, labels[kept], groups[kept])
    variance = np.square(deviations, dtype=np.float64).sum(0) / max(1, len(deviations) - classes)
    factors, noise = _compress(_factors(averages, max(1, len(averages) - classes)), variance)
    return _as_stored(ClassStatistics(counts, means, factors, noise, *_thin_out(logits, answered)))


def extend_statistics(
    known: ClassStatistics,
    old: NDArray[np.int64],
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    kept: NDArray[np.bool_],
    logits: NDArray[np.float32],
    answered: NDArray[np.int64],
) -> ClassStatistics | None:
    """Add the classes of more photos, described as for `measure_statistics`, to `known` statistics.

    The C known classes have the numbers `old` `[C]` among all. Those `kept` `[C]` stay as they are, even if photos of
    them are given: means before and after would tell what a few photos were. So does the covariance.
    """
    counts, means = _measure_means(features, labels, groups, np.bincount(labels, minlength=logits.shape[1]))
    counts[old[kept]], means[old[kept]] = known.counts[kept], known.means[kept]
    return _as_stored(ClassStatistics(counts, means, known.factors, known.noise, *_thin_out(logits, answered)))


def _measure_means(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], photos: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Give the numbers of photos `[C]` and average features `[C, F]`; both are 0 for too small a class."""
    counts, means = np.zeros(len(photos), np.int64), np.zeros((len(photos), features.shape[1]), np.float32)
    for label in np.unique(labels):
        own = labels == label
        different = _average_groups(features[own], groups[own])
        if len(different) >= MIN_PHOTOS:
            counts[label], means[label] = photos[label], different.mean(0)
    return counts, means


def _average_groups(features: NDArray[np.float32], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the features `[N, F]` of each group of photos: a photo and its copies count as one, `[G, F]`."""
    numbers, member_of = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(numbers), features.shape[1]))
    np.add.at(sums, member_of, features)
    averages: NDArray[np.float64] = sums / np.bincount(member_of)[:, None]
    return averages


def _thin_out(
    logits: NDArray[np.float32], answered: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    some = np.linspace(0, len(answered) - 1, min(_MAX_ANSWERS, len(answered))).round().astype(np.int64)
    return logits[some], answered[some]


def _average_fours(
    deviations: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average deviations `[N, F]` from class means over four photos or more, scaled to vary as those of single ones do.

    Where features outnumber photos, the principal components of single photos are nearly those photos.
    """
    rng, averages = np.random.default_rng(0), list[NDArray[np.float64]]()
    for label in np.unique(labels):
        own = labels == label
        different = rng.permutation(_average_groups(deviations[own], groups[own]))
        parts = np.array_split(different, len(different) // MIN_PHOTOS)
        averages.extend(part.mean(0) * np.sqrt(len(part)) for part in parts)
    return np.stack(averages)


def _factors(averages: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """Find the first principal components `[R, F]` of `averages` `[A, F]`, as long as their standard deviations."""
    width = averages.shape[1]
    rank = min(_MAX_FACTORS, freedom, width - 1, _MAX_BYTES // (2 * width))
    _, lengths, directions = np.linalg.svd(averages, full_matrices=False)
    scaled: NDArray[np.float64] = lengths[:rank, None] * directions[:rank] / np.sqrt(freedom)
    return scaled[lengths[:rank] > 0]


def _compress(
    factors: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Let factors `[R, F]` explain no more than the `variance` `[F]` of each feature; what is left is noise `[F]`.

    Averages of a few photos estimate a variance less well than all photos do.
    """
    explained = np.square(factors).sum(0)
    scale = np.sqrt(np.minimum(1, variance / np.maximum(explained, 1e-30)))
    noise = np.sqrt(np.maximum(variance - explained * np.square(scale), 0))
    return (factors * scale).astype(np.float32), noise.astype(np.float32)


def _as_stored(statistics: ClassStatistics) -> ClassStatistics | None:
    """Round as a file does; give `None` if a number is too large for it."""
    with np.errstate(over="ignore"):  # told by infinity
        means, factors, logits = (
            values.astype(np.float16).astype(np.float32)
            for values in (statistics.means, statistics.factors, statistics.logits)
        )
    if not all(np.isfinite(values).all() for values in (means, factors, logits)):
        return None
    return replace(statistics, means=means, factors=factors, logits=logits)
