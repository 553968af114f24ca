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
    logits: NDArray[np.float32],
    answered: NDArray[np.int64],
) -> ClassStatistics | None:
    """Measure features `[N, F]` of photos with `labels` and `groups` `[N]`, equal for photos that look the same.

    `logits` `[M, C]` are answers for photos that were held out, `answered` `[M]` their labels. Returns `None` if no
    class has four different photos, or features are too large for a file.
    """
    counts, means = _measure_means(features, labels, groups, logits.shape[1])
    kept = counts[labels] > 0
    if not kept.any():
        return None
    deviations = features[kept] - means[labels[kept]]
    averages = _average_fours(deviations, labels[kept], groups[kept])
    factors = _factors(averages, max(1, len(averages) - int((counts > 0).sum())))
    variance = np.square(deviations, dtype=np.float64).sum(0) / max(1, len(deviations) - int((counts > 0).sum()))
    noise = np.sqrt(np.maximum(variance - np.square(factors, dtype=np.float64).sum(0), 0)).astype(np.float32)
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
    counts, means = _measure_means(features, labels, groups, logits.shape[1])
    counts[old[kept]], means[old[kept]] = known.counts[kept], known.means[kept]
    return _as_stored(ClassStatistics(counts, means, known.factors, known.noise, *_thin_out(logits, answered)))


def _measure_means(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Count the photos `[classes]` and average their features `[classes, F]`; both are 0 for too small a class."""
    counts = np.array([_count(labels == label, groups) for label in range(classes)], np.int64)
    means = np.zeros((classes, features.shape[1]), np.float32)
    for label in np.flatnonzero(counts):
        means[label] = features[labels == label].mean(0)
    return counts, means


def _thin_out(
    logits: NDArray[np.float32], answered: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    some = np.linspace(0, len(answered) - 1, min(_MAX_ANSWERS, len(answered))).round().astype(np.int64)
    return logits[some], answered[some]


def _count(members: NDArray[np.bool_], groups: NDArray[np.int64]) -> int:
    """Count the photos of a class; 0 if they are too few for an average of them to hide each one."""
    return int(members.sum()) if len(np.unique(groups[members])) >= MIN_PHOTOS else 0


def _average_fours(
    deviations: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average deviations `[N, F]` from the means of their classes over four photos or more; they vary as single ones do.

    Where features outnumber photos, the principal components of single photos are nearly those photos. Of photos that
    look the same, one is taken: four copies would hide nothing.
    """
    rng, averages = np.random.default_rng(0), []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        different = rng.permutation(own[np.unique(groups[own], return_index=True)[1]])
        for part in np.array_split(different, len(different) // MIN_PHOTOS):
            averages.append(deviations[part].astype(np.float64).mean(0) * np.sqrt(len(part)))  # noqa: PERF401
    return np.stack(averages)


def _factors(averages: NDArray[np.float64], freedom: int) -> NDArray[np.float32]:
    """Find the first principal components `[R, F]` of `averages` `[A, F]`, as long as their standard deviations."""
    width = averages.shape[1]
    rank = min(_MAX_FACTORS, freedom, width - 1, _MAX_BYTES // (2 * width))
    _, lengths, directions = np.linalg.svd(averages, full_matrices=False)
    scaled: NDArray[np.float32] = (lengths[:rank, None] * directions[:rank] / np.sqrt(freedom)).astype(np.float32)
    return scaled[lengths[:rank] > 0]


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
