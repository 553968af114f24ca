"""Novelty, or out-of-distribution detection: whether a picture resembles the training photos, by its features.

Features of unit length are compared by angle with prototypes, which are averages of similar training photos. The mean
distance to the nearest prototypes grows as a picture resembles nothing known (k nearest neighbours, Sun et al. 2022).
If photos of other things were given, a direction in feature space from known to other is added (a logistic
regression). A prototype averages several photos, except in very small classes: a checkpoint must not disclose the
photos that it was trained on.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import one_thread

UNKNOWN_SCORE = 0.5  # an `unknown_score` above this gets the verdict "unknown"
TYPICAL_SCORE = 0.1  # of the median validation photo

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Novelty:
    """A fitted measure. `prototypes` is float32 `[P, F]` with rows of length one, `direction` float32 `[F]`.

    A picture's out-of-distribution (OOD) score is `distance_weight` times its mean distance to the `neighbours` nearest
    prototypes, plus the component of its features along `direction`. Above `threshold` a picture counts as unknown;
    `typical` is the median OOD score of known photos.
    """

    prototypes: _Floats
    direction: _Floats
    neighbours: int
    distance_weight: float
    typical: float
    threshold: float

    def scores(self, features: _Floats) -> _Floats:
        """Turn features `[N, F]` into unknown scores `[N]`, 0..1: 0.1 is typical of known photos, 0.5 the threshold."""
        return self.rate(self.ood_scores(features))

    def rate(self, ood_scores: _Floats) -> _Floats:
        """Turn OOD scores `[N]` into unknown scores."""
        slope = math.log(1 / TYPICAL_SCORE - 1) / max(self.threshold - self.typical, 1e-6)
        # The logistic function, by tanh: exp would overflow.
        scores: _Floats = 0.5 + 0.5 * np.tanh(np.float32(slope / 2) * (ood_scores - self.threshold))
        return scores

    def ood_scores(self, features: _Floats) -> _Floats:
        """Compute the OOD scores of features `[N, F]`, without any threshold: float32 `[N]`."""
        unit = normalize(features)
        with one_thread():
            far = distances(unit, self.prototypes, self.neighbours)
            ood_scores: _Floats = np.float32(self.distance_weight) * far + unit @ self.direction
        return ood_scores


def normalize(features: _Floats) -> _Floats:
    """Scale features `[N, F]` to length one; zeros stay zeros."""
    unit: _Floats = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    return unit


def distances(unit: _Floats, prototypes: _Floats, neighbours: int) -> _Floats:
    """Average the cosine distances 0..2 of unit features `[N, F]` to the nearest of the prototypes `[P, F]`: `[N]`."""
    nearest = np.partition(unit @ prototypes.T, -neighbours, axis=1)[:, -neighbours:]
    mean: _Floats = 1 - nearest.mean(1)
    return mean
