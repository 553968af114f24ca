import math

import numpy as np
import pytest
from numpy.typing import NDArray

from whisker.model.answers.novelty import UNKNOWN_SCORE, Novelty, distances, normalize

Floats = NDArray[np.float32]

EAST, NORTH, UP = np.eye(3, dtype=np.float32)


def novelty(neighbours: int = 1, direction: Floats | None = None, distance_weight: float = 1.0) -> Novelty:
    """Know what points east or north."""
    prototypes = np.stack([EAST, NORTH])
    return Novelty(
        prototypes,
        np.zeros(3, np.float32) if direction is None else direction,
        neighbours,
        distance_weight,
        typical=0.05,
        threshold=0.3,
    )


def features_at(distance: float) -> Floats:
    """Make unit features at this cosine distance from `EAST`, and further from `NORTH`."""
    cosine = 1 - distance
    return np.stack([cosine * EAST + math.sqrt(1 - cosine**2) * UP]).astype(np.float32)


def test_known_features_score_low_and_strange_ones_high() -> None:
    known, strange, opposite = novelty().scores(np.stack([EAST, UP, -EAST]))
    assert known < 0.1
    assert strange > 0.99
    assert opposite >= strange


@pytest.mark.parametrize(("distance", "score"), [(0.05, 0.1), (0.3, UNKNOWN_SCORE), (0.55, 0.9)])
def test_typical_and_limit_score_as_documented(distance: float, score: float) -> None:
    assert novelty().scores(features_at(distance)).tolist() == pytest.approx([score], abs=1e-4)


def test_length_of_features_means_nothing() -> None:
    features = np.array([[0.3, 0.4, 0.5], [1.0, 0.0, 0.2]], np.float32)
    np.testing.assert_allclose(novelty().scores(features), novelty().scores(100 * features), atol=1e-6)


def test_distance_is_the_mean_over_the_nearest_few() -> None:
    between = normalize((EAST + 0.5 * NORTH)[None])
    prototypes = np.stack([EAST, NORTH, -EAST])
    near, second = 1 - float(between[0] @ EAST), 1 - float(between[0] @ NORTH)
    assert distances(between, prototypes, 1).item() == pytest.approx(near)
    assert distances(between, prototypes, 2).item() == pytest.approx((near + second) / 2)
    assert distances(between, prototypes, 3).item() == pytest.approx((near + second + 2 - near) / 3)


def test_direction_adds_to_the_distance_by_its_weight() -> None:
    measure = novelty(direction=np.array([0.0, 0.0, 2.0], np.float32), distance_weight=0.5)
    ood_scores = measure.ood_scores(np.stack([EAST, 7 * UP]))
    assert ood_scores.tolist() == pytest.approx([0.0, 0.5 * 1 + 2])


def test_scores_rise_with_strangeness_and_stay_in_range() -> None:
    features = np.random.default_rng(0).standard_normal((200, 3), np.float32)
    order = novelty().ood_scores(features).argsort()
    scores = novelty().scores(features[order])
    assert scores.dtype == np.float32
    assert (np.diff(scores) >= -1e-6).all()
    assert 0 <= scores.min() < UNKNOWN_SCORE < scores.max() <= 1


def test_threshold_at_the_typical_still_gives_finite_scores() -> None:
    flat = Novelty(EAST[None], np.zeros(3, np.float32), 1, 1.0, typical=0.2, threshold=0.2)
    assert np.isfinite(flat.scores(np.stack([EAST, UP]))).all()
    assert flat.scores(np.stack([EAST, UP])).tolist() == pytest.approx([0, 1])
