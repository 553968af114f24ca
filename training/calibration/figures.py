"""What a report's plots show, measured once on the test side and small enough to be kept in the checkpoint's header.

No photo and no path is in it: the plots can be drawn again from the checkpoint alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.training.calibration.metrics import wilson_interval

RELIABILITY_BINS = 15
HISTOGRAM_BINS = 20
_CURVE_POINTS = 101
_DIGITS = 4


def measure_figures(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    unknown_scores: NDArray[np.float32] | None,
    outlier_scores: NDArray[np.float32] | None,
) -> dict[str, Any]:
    """Summarise probabilities `[N, K]` for labels `[N]`, N at least 1, as a JSON object.

    `unknown_scores` `[N]` are those of the same photos, `outlier_scores` `[M]` those of photos of other things. Without
    the former, the key "unknown" is null; without the latter, its counts of outliers are.
    """
    best, scores = probabilities.argmax(1), probabilities.max(1)
    right = best == labels
    return {
        "reliability": _reliability(scores, right),
        "coverage": _coverage(scores, right),
        "scores": {"right": _histogram(scores[right]), "wrong": _histogram(scores[~right])},
        "unknown": None if unknown_scores is None else _unknown(unknown_scores, outlier_scores),
        "per_class": _per_class(best, labels, probabilities.shape[1]),
    }


def _reliability(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Compare mean score and accuracy in bins of equal width (Guo et al. 2017); both are null where a bin is empty."""
    bins = np.minimum((scores * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    photos = np.bincount(bins, minlength=RELIABILITY_BINS)
    totals = np.bincount(bins, scores, RELIABILITY_BINS)
    hits = np.bincount(bins, right, RELIABILITY_BINS)
    return [
        {
            "low": round(index / RELIABILITY_BINS, _DIGITS),
            "high": round((index + 1) / RELIABILITY_BINS, _DIGITS),
            "photos": int(count),
            "score": _share(total, count),
            "accuracy": _share(hit, count),
        }
        for index, (count, total, hit) in enumerate(zip(photos, totals, hits, strict=True))
    ]


def _coverage(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Trace the accuracy of the answers whose score reaches a threshold, from the strictest threshold to none.

    Photos of equal scores pass a threshold together, so that the order they came in does not matter.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], right[order].cumsum()
    last_of_equals = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    wanted = np.linspace(0, len(scores) - 1, _CURVE_POINTS)
    ends = last_of_equals[np.unique(np.searchsorted(last_of_equals, wanted))]
    return [
        {
            "coverage": round(float((end + 1) / len(scores)), _DIGITS),
            "accuracy": round(float(hits[end] / (end + 1)), _DIGITS),
            "threshold": round(float(ordered[end]), _DIGITS),
        }
        for end in ends
    ]


def _unknown(known: NDArray[np.float32], outliers: NDArray[np.float32] | None) -> dict[str, Any]:
    return {"known": _histogram(known), "outliers": None if outliers is None else _histogram(outliers)}


def _histogram(values: NDArray[np.float32]) -> list[int]:
    """Count values of 0..1 in bins of equal width."""
    counts, _ = np.histogram(values, HISTOGRAM_BINS, (0.0, 1.0))
    return [int(count) for count in counts]


def _per_class(best: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> list[dict[str, Any]]:
    photos = np.bincount(labels, minlength=classes).tolist()
    answered = np.bincount(best, minlength=classes).tolist()
    right = np.bincount(labels[best == labels], minlength=classes).tolist()
    return [
        {
            "photos": photos[label],
            "answered": answered[label],
            "right": right[label],
            "recall": _share(right[label], photos[label]),
            "recall_95_interval": _interval(right[label], photos[label]),
            "precision": _share(right[label], answered[label]),
            "precision_95_interval": _interval(right[label], answered[label]),
        }
        for label in range(classes)
    ]


def _share(part: float, whole: int) -> float | None:
    return round(float(part / whole), _DIGITS) if whole else None


def _interval(successes: int, trials: int) -> list[float] | None:
    return [round(bound, _DIGITS) for bound in wilson_interval(successes, trials)] if trials else None
