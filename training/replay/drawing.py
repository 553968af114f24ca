"""Draw features that stand in for those of photos which are no longer there.

This is generative replay in feature space: a normal distribution a class with a shared covariance is what linear
discriminant analysis assumes (Hayes & Kanan 2020).
"""

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.checkpoint.statistics import ClassStatistics

_RIDGE = 1e-3  # of the mean variance of a logit: logits that others nearly determine are not met exactly


def draw_features(
    statistics: ClassStatistics, labels: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw features `[N, F]` of photos with `labels` `[N]`."""
    shared = rng.standard_normal((len(labels), len(statistics.factors)), np.float32) @ statistics.factors
    own = rng.standard_normal((len(labels), len(statistics.noise)), np.float32) * statistics.noise
    features: NDArray[np.float32] = statistics.means[labels] + shared + own
    return _clip(features, statistics)


def draw_answered(statistics: ClassStatistics, head: Head, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw features `[M, F]` that stand in for the held-out photos: `head` gives them the logits of those photos.

    They are drawn from a normal distribution under that condition (conditioning by kriging, Hoffman & Ribak 1991), so
    that hard photos stay hard.
    """
    drawn = draw_features(statistics, statistics.labels, rng)
    factors, weight = statistics.factors, head.weight
    spread = factors.T @ (factors @ weight.T) + np.square(statistics.noise)[:, None] * weight.T  # [F, C]
    logit_covariance = (weight @ spread).astype(np.float64)
    ridge = _RIDGE * np.trace(logit_covariance) / len(weight)
    missing = statistics.logits - (drawn @ weight.T + head.bias)
    missing -= missing.mean(1, keepdims=True)  # what all logits share changes no answer
    steps = np.linalg.solve(logit_covariance + ridge * np.eye(len(weight)), missing.T.astype(np.float64))
    features: NDArray[np.float32] = drawn + (spread @ steps).T.astype(np.float32)
    return features


def _clip(features: NDArray[np.float32], statistics: ClassStatistics) -> NDArray[np.float32]:
    """Keep features above zero that always are: averages of what a ReLU has let through."""
    return np.maximum(features, 0) if (statistics.means >= 0).all() else features
