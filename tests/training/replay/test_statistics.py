"""Statistics of features hide every single photo, and features drawn from them are like those measured."""

import numpy as np
import pytest
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.checkpoint.statistics import ClassStatistics
from whisker.training.replay.drawing import draw_answered, draw_features
from whisker.training.replay.statistics import extend_statistics, measure_statistics

FEATURES = 12
COUNTS = (40, 60, 3)  # photos a class


@pytest.fixture
def labels() -> NDArray[np.int64]:
    return np.repeat(np.arange(3), COUNTS)


@pytest.fixture
def features(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Draw features that vary most in one direction, around a mean for each class."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.2, (len(labels), FEATURES)) + rng.normal(0, 2, (len(labels), 1)) * np.eye(FEATURES)[0]
    centres = rng.normal(0, 3, (3, FEATURES))
    drawn: NDArray[np.float32] = (centres[labels] + noise).astype(np.float32)
    return drawn


@pytest.fixture
def statistics(features: NDArray[np.float32], labels: NDArray[np.int64]) -> ClassStatistics:
    logits = np.eye(3, dtype=np.float32)[labels] * 4
    measured = measure(features, labels, np.arange(len(labels)), logits)
    assert measured is not None
    return measured


def measure(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    logits: NDArray[np.float32],
    *,
    sampled: int = 1,
) -> ClassStatistics | None:
    """Measure a sample of photos, of which there are `sampled` times as many."""
    photos = sampled * np.bincount(labels, minlength=logits.shape[1])
    return measure_statistics(features, labels, groups, photos=photos, logits=logits, answered=labels)


def test_class_of_three_photos_is_not_kept(statistics: ClassStatistics) -> None:
    assert statistics.counts.tolist() == [40, 60, 0]
    assert not statistics.means[2].any()


def test_class_of_one_photo_and_its_copies_is_not_kept(
    features: NDArray[np.float32], labels: NDArray[np.int64]
) -> None:
    groups = np.where(labels == 0, 0, np.arange(len(labels)))  # all photos of class 0 look the same
    logits = np.zeros((len(labels), 3), np.float32)
    measured = measure(features, labels, groups, logits)
    assert measured is not None
    assert measured.counts.tolist() == [0, 60, 0]


def test_photos_of_a_class_are_counted_beyond_the_sample(
    features: NDArray[np.float32], labels: NDArray[np.int64]
) -> None:
    """The sample was counted: ten photos of a class of hundreds replaced all that was known of it."""
    measured = measure(features, labels, np.arange(len(labels)), np.zeros((len(labels), 3), np.float32), sampled=10)
    assert measured is not None
    assert measured.counts.tolist() == [400, 600, 0]


def test_nothing_is_kept_if_every_class_is_small(features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    few = np.concatenate([np.flatnonzero(labels == label)[:3] for label in range(3)])
    logits = np.zeros((9, 3), np.float32)
    assert measure(features[few], labels[few], np.arange(9), logits) is None


def test_no_factor_is_a_photo_where_features_outnumber_photos() -> None:
    """Photos that differ in a feature of their own each: the components of single ones would be these photos."""
    labels = np.repeat(np.arange(2), 12)
    features = (np.eye(24, 60) * np.arange(1, 25)[:, None]).astype(np.float32)
    logits = np.zeros((24, 2), np.float32)
    measured = measure(features, labels, np.arange(24), logits)
    assert measured is not None
    assert len(measured.factors) == 4  # of six averages of four photos, around two means
    deviations = features - measured.means[labels]
    cosines = measured.factors @ deviations.T
    cosines /= np.linalg.norm(measured.factors, axis=1)[:, None] * np.linalg.norm(deviations, axis=1)
    assert np.abs(cosines).max() < 0.9


def test_features_too_large_for_a_file_are_not_kept(labels: NDArray[np.int64]) -> None:
    features = np.full((len(labels), FEATURES), 1e6, np.float32)
    logits = np.zeros((len(labels), 3), np.float32)
    assert measure(features, labels, np.arange(len(labels)), logits) is None


def test_drawn_features_have_the_mean_and_the_covariance_of_real_ones(
    statistics: ClassStatistics, features: NDArray[np.float32], labels: NDArray[np.int64]
) -> None:
    drawn = draw_features(statistics, np.ones(20_000, np.int64), np.random.default_rng(2))
    np.testing.assert_allclose(drawn.mean(0), features[labels == 1].mean(0), atol=0.05)
    within = features[labels < 2] - statistics.means[labels[labels < 2]]
    np.testing.assert_allclose(drawn.std(0), np.sqrt(np.square(within).sum(0) / 98), rtol=0.05)


def test_stand_ins_get_the_answers_of_the_photos_they_stand_in_for(statistics: ClassStatistics) -> None:
    rng = np.random.default_rng(3)
    head = Head(rng.normal(0, 1, (3, FEATURES)).astype(np.float32), np.zeros(3, np.float32))
    wanted = statistics.logits - statistics.logits.mean(1, keepdims=True)
    logits = head.logits(draw_answered(statistics, head, rng))
    centred = logits - logits.mean(1, keepdims=True)
    np.testing.assert_allclose(centred, wanted, atol=0.1)
    plain = head.logits(draw_features(statistics, statistics.labels, rng))
    assert np.abs(plain - plain.mean(1, keepdims=True) - wanted).mean() > 1


def test_statistics_of_an_old_class_do_not_follow_a_few_photos(
    statistics: ClassStatistics, features: NDArray[np.float32]
) -> None:
    given = np.array([1] * 5 + [3] * 6)  # classes 0, 1 and 2 of before are 0, 1 and 2; 3 is new
    photos = features[:11] + 5
    extended = extend_statistics(
        statistics,
        np.arange(3),
        photos,
        given,
        np.arange(11),
        kept=np.array([True, True, False]),
        logits=np.zeros((11, 4), np.float32),
        answered=given,
    )
    assert extended is not None
    assert extended.counts.tolist() == [40, 60, 0, 6]
    np.testing.assert_array_equal(extended.means[:2], statistics.means[:2])
    np.testing.assert_allclose(extended.means[3], photos[5:].mean(0), rtol=1e-3)
