"""The figures behind a report's plots, measured once on the test split and small enough for a checkpoint's header.

They hold no photo and no path, and the plots can be drawn again from the checkpoint alone.
"""

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.card.metrics import (
    ClassMetrics,
    CoveragePoint,
    Figures,
    Interval,
    ReliabilityBin,
    ScoreHistograms,
    UnknownHistograms,
)
from whisker.training.calibration.metrics import count_cells, share_out, wilson_interval

RELIABILITY_BINS = 15
HISTOGRAM_BINS = 20
_MAX_CURVE_POINTS = 101
_DIGITS = 4


def measure_figures(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    unknown_scores: NDArray[np.float32] | None,
    outlier_scores: NDArray[np.float32] | None,
    *,
    repeats: int = 1,
) -> Figures:
    """Summarise probabilities `[N, K]` for labels `[N]`, N at least 1.

    Each photo may be there `repeats` times, from several cross-validations: counts are means over them.
    `unknown_scores` are those of the photos, each once, `outlier_scores` `[M]` those of unrelated photos; both are
    optional. Photos that get the verdict "unknown" are never confident: the coverage curve and the score histograms,
    which show what the threshold of "confident" does, leave them out.
    """
    best, scores = probabilities.argmax(1), probabilities.max(1)
    right, familiar = best == labels, np.ones(len(labels), np.bool_)
    if unknown_scores is not None:
        familiar = np.tile(unknown_scores <= UNKNOWN_SCORE, repeats)
    return Figures(
        reliability=_reliability(scores, right, repeats),
        coverage=_coverage(scores[familiar], right[familiar], len(scores)),
        scores=ScoreHistograms(
            _histogram(scores[familiar & right], repeats), _histogram(scores[familiar & ~right], repeats)
        ),
        unknown=None if unknown_scores is None else measure_unknown(unknown_scores, outlier_scores),
        per_class=_per_class(best, labels, probabilities.shape[1], repeats),
    )


def _reliability(scores: NDArray[np.float32], right: NDArray[np.bool_], repeats: int) -> tuple[ReliabilityBin, ...]:
    """Compare mean score and accuracy in bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((scores * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    photos = np.bincount(bins, minlength=RELIABILITY_BINS)
    totals = np.bincount(bins, scores, RELIABILITY_BINS)
    hits = np.bincount(bins, right, RELIABILITY_BINS)
    return tuple(
        ReliabilityBin(
            low=round(index / RELIABILITY_BINS, _DIGITS),
            high=round((index + 1) / RELIABILITY_BINS, _DIGITS),
            photos=mean_count,
            score=share(total, count),
            accuracy=share(hit, count),
        )
        for index, (count, mean_count, total, hit) in enumerate(
            zip(photos, share_out(photos, repeats), totals, hits, strict=True)
        )
    )


def _coverage(scores: NDArray[np.float32], right: NDArray[np.bool_], photos: int) -> tuple[CoveragePoint, ...]:
    """Trace the accuracy of the answers whose score reaches a threshold, from the strictest threshold to none.

    Coverage is their share of all `photos`. Photos with equal scores pass a threshold together, and so their order does
    not matter.
    """
    if not len(scores):
        return ()
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], right[order].cumsum()
    last_of_equals = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    wanted = np.linspace(0, len(scores) - 1, _MAX_CURVE_POINTS)
    ends = last_of_equals[np.unique(np.searchsorted(last_of_equals, wanted))]
    return tuple(
        CoveragePoint(
            coverage=round(float((end + 1) / photos), _DIGITS),
            accuracy=round(float(hits[end] / (end + 1)), _DIGITS),
            threshold=round(float(ordered[end]), _DIGITS),
        )
        for end in ends
    )


def measure_unknown(known: NDArray[np.float32], outliers: NDArray[np.float32] | None) -> UnknownHistograms:
    """Count the unknown scores of known photos and of unrelated ones, if there are any."""
    return UnknownHistograms(_histogram(known), None if outliers is None else _histogram(outliers))


def _histogram(values: NDArray[np.float32], repeats: int = 1) -> tuple[int, ...]:
    """Count values of 0..1 in bins of equal width."""
    counts, _ = np.histogram(values, HISTOGRAM_BINS, (0.0, 1.0))
    return tuple(share_out(counts, repeats))


def _per_class(
    best: NDArray[np.int64], labels: NDArray[np.int64], classes: int, repeats: int
) -> tuple[ClassMetrics, ...]:
    photos, answered, right = [0] * classes, [0] * classes, [0] * classes
    for label, answer, count in count_cells(labels, best, classes, repeats=repeats):  # the figures agree with its plot
        photos[label] += count
        answered[answer] += count
        right[label] += count if label == answer else 0
    return tuple(
        ClassMetrics(
            photos=photos[label],
            answered=answered[label],
            right=right[label],
            recall=share(right[label], photos[label]),
            recall_95_interval=share_interval(right[label], photos[label]),
            precision=share(right[label], answered[label]),
            precision_95_interval=share_interval(right[label], answered[label]),
        )
        for label in range(classes)
    )


def share(part: float, whole: int) -> float | None:
    """Divide, and round as a checkpoint stores it; `None` of nothing."""
    return round(float(part / whole), _DIGITS) if whole else None


def share_interval(successes: int, trials: int) -> Interval | None:
    """Bound a proportion at 95 %, rounded as a checkpoint stores it; `None` without trials."""
    if not trials:
        return None
    low, high = wilson_interval(successes, trials)
    return round(low, _DIGITS), round(high, _DIGITS)
