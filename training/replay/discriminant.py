"""A last layer from statistics alone: linear discriminants, for old and new classes alike.

A layer fitted to real features of new classes and to drawn ones of old classes favours the new: features drawn from a
compressed covariance lie closer to their mean, in the directions that matter, than photos do (docs/adr/0019).
"""

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.checkpoint.statistics import ClassStatistics

_SHRINKAGE = 0.1  # towards a sphere, as a share of the variance that the factors explain
_NOISE = 1e-4  # added to the noise, as a share of its mean: a feature that never varied may vary
_SPREAD = 5.0  # deviation of the logits of the means: a temperature refines it


def fit_discriminants(statistics: ClassStatistics, means: NDArray[np.float32]) -> Head:
    """Fit linear discriminants to the `means` `[classes, F]` of old and new classes, with the shared covariance.

    The covariance is inverted by Woodbury's formula. Logits are scaled alike, which changes no answer.
    """
    factors, noise = statistics.factors.astype(np.float64), np.square(statistics.noise, dtype=np.float64)
    ridge = _SHRINKAGE * np.square(factors).sum() / factors.shape[1]
    diagonal = noise + _NOISE * noise.mean() + ridge + 1e-12
    scaled = factors / diagonal
    core = np.eye(len(factors)) + scaled @ factors.T
    weight = means / diagonal - np.linalg.solve(core, scaled @ means.T).T @ scaled
    bias = -0.5 * (weight * means).sum(1)
    logits = means @ weight.T + bias
    scale = _SPREAD / max(1e-12, float((logits - logits.mean(1, keepdims=True)).std()))
    return Head((weight * scale).astype(np.float32), (bias * scale).astype(np.float32))
