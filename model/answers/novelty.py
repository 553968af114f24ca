"""Novelty: whether a picture is like anything the network was taught, judged by its features.

Features of unit length are compared with prototypes, averages of alike training photos, by their angle: the distance
to the nearest few of them grows as a picture resembles nothing known (k nearest neighbours, Sun et al. 2022). Where
photos of other things were given, a direction in feature space that leads from known to other is added (a logistic
regression). A prototype is no single photo's, but for classes of very few: a checkpoint must not tell what it was
taught.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.head import one_thread

UNKNOWN_SCORE = 0.5  # an `unknown_score` above this gets the verdict "unknown"
_TYPICAL_SCORE = 0.1  # of a photo in the middle of the validation side

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Novelty:
    """A fitted measure. `prototypes` is float32 `[P, F]` with rows of length one, `direction` float32 `[F]`.

    A picture's strangeness is `distance_weight` times its mean distance to the `neighbours` nearest prototypes, plus
    the part of its features along `direction`. `threshold` is the strangeness from which on a picture counts as
    unknown, `typical` that of a known photo in the middle.
    """

    prototypes: _Floats
    direction: _Floats
    neighbours: int
    distance_weight: float
    typical: float
    threshold: float

    def scores(self, features: _Floats) -> _Floats:
        """Give features `[N, F]` their unknown scores `[N]`, 0..1: 0.1 is typical of known photos, 0.5 the limit."""
        slope = math.log(1 / _TYPICAL_SCORE - 1) / max(self.threshold - self.typical, 1e-6)
        # The logistic function, by tanh: exp would overflow.
        scores: _Floats = 0.5 + 0.5 * np.tanh(np.float32(slope / 2) * (self.ood_scores(features) - self.threshold))
        return scores

    def ood_scores(self, features: _Floats) -> _Floats:
        """Measure features `[N, F]` before any threshold: float32 `[N]`."""
        unit = normalize(features)
        with one_thread():
            far = distances(unit, self.prototypes, self.neighbours)
            ood_scores: _Floats = np.float32(self.distance_weight) * far + unit @ self.direction
        return ood_scores


def normalize(features: _Floats) -> _Floats:
    """Bring features `[N, F]` to length one; none at all stay so."""
    unit: _Floats = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    return unit


def distances(unit: _Floats, prototypes: _Floats, neighbours: int) -> _Floats:
    """Average the cosine distances 0..2 of unit features `[N, F]` to the nearest of the prototypes `[P, F]`: `[N]`."""
    nearest = np.partition(unit @ prototypes.T, -neighbours, axis=1)[:, -neighbours:]
    mean: _Floats = 1 - nearest.mean(1)
    return mean
