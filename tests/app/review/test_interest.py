"""Which photos are worth a label, and in which order they are shown, by small numbers."""

import numpy as np
import pytest

from whisker.app.inference.wire import PredictionDocument
from whisker.app.review.interest import rate
from whisker.app.review.order import nearest_distances, next_photos
from whisker.app.review.rated import Rated
from whisker.model.answers.descriptor import DESCRIPTOR_BYTES, describe_features, read_descriptors


def answer(*scores: float, unknown_score: float | None = None) -> PredictionDocument:
    predictions = [{"label": "abc"[at], "score": score} for at, score in enumerate(scores)]
    return {
        "label": "a",
        "score": scores[0],
        "verdict": "unsure",
        "unknown_score": unknown_score,
        "predictions": predictions,  # type: ignore[typeddict-item]
        "image": {"width": 1, "height": 1, "format": "PNG"},
    }


@pytest.mark.parametrize(
    ("scores", "unknown_score", "expected"),
    [
        ((1.0, 0.0), None, 0),  # certain
        ((0.5, 0.5), None, 1),
        ((0.6, 0.3, 0.1), None, 0.7),
        ((0.6,), None, 0.8),  # the second is not listed: it may be 0.4
        ((0.6, 0.3, 0.1), 0.1, 0.4),
        ((1.0, 0.0), 0.9, 0.45),  # certain, but novel
    ],
)
def test_small_margin_and_novelty_make_a_photo_interesting(
    scores: tuple[float, ...], unknown_score: float | None, expected: float
) -> None:
    assert rate(answer(*scores, unknown_score=unknown_score), None) == pytest.approx(expected)


def test_of_several_labels_the_score_closest_to_its_threshold_counts() -> None:
    thresholds = {"a": 0.8, "b": 0.5, "c": 0.5}
    assert rate(answer(0.9, 0.1), thresholds) == pytest.approx(0.5)  # half of the way from 0.8 to 1
    assert rate(answer(0.9, 0.45, 0.1), thresholds) == pytest.approx(0.9)
    assert rate(answer(0.8, 0.1), thresholds) == pytest.approx(1)


def test_near_copies_wait_until_other_photos_were_shown() -> None:
    one, other = (describe_features(np.eye(20, dtype=np.float32)[at]) for at in (0, 7))
    waiting = [Rated(0.9, one, "m"), Rated(0.8, one, "m"), Rated(0.3, other, "m"), Rated(0.1, one, "m2")]
    assert next_photos(waiting, [], 4) == [0, 2, 3, 1]  # of another model: nothing is known of how alike it is
    assert next_photos(waiting, [Rated(1, one, "m")], 1) == [2]  # like one that was labelled
    waiting[2] = Rated(0.3, other, "m", skips=1)
    assert next_photos(waiting, [], 4) == [0, 3, 1, 2]
    assert next_photos([], waiting, 4) == []


def test_descriptors_keep_angles() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40, 500)).astype(np.float32) + 1
    features[1] = features[0] * 3 + rng.normal(size=500) * 0.01
    packed = [describe_features(row) for row in features]
    assert {len(it) for it in packed} == {DESCRIPTOR_BYTES}
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    rows = read_descriptors(b"".join(packed))
    assert np.abs(rows @ rows.T - unit @ unit.T).mean() < 0.1
    rated = [Rated(1, it, "m") for it in packed]
    assert nearest_distances(rated[:1], rated[1:2])[0] < 0.001
