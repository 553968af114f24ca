import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whisker.model.card.metrics import CoveragePoint, Figures, ReliabilityBin
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.metrics import wilson_interval


def answers(photos: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw probabilities that favour the right class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, photos)
    weights = rng.gamma(1.0, size=(photos, classes))
    weights[np.arange(photos), labels] *= 2 * classes
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize(("photos", "classes"), [(1, 2), (7, 2), (500, 3), (40, 30), (3000, 1000)])
def test_every_figure_counts_every_photo_once(photos: int, classes: int) -> None:
    probabilities, labels = answers(photos, classes)
    figures = measure_figures(probabilities, labels, probabilities[:, 0], probabilities[:, 1])
    hits, familiar = probabilities.argmax(1) == labels, probabilities[:, 0] <= 0.5
    right = int(hits.sum())
    assert sum(row.photos for row in figures.reliability or ()) == photos
    assert figures.scores is not None
    assert (sum(figures.scores.right), sum(figures.scores.wrong)) == ((familiar & hits).sum(), (familiar & ~hits).sum())
    assert figures.unknown is not None
    assert sum(figures.unknown.known) == sum(figures.unknown.outliers or ()) == photos
    rows = figures.per_class or ()
    assert (len(rows), sum(row.photos for row in rows), sum(row.right for row in rows)) == (
        classes,
        photos,
        right,
    )
    last = (measure_figures(probabilities, labels, None, None).coverage or ())[-1]
    assert last.coverage == 1.0
    assert last.accuracy == pytest.approx(right / photos, abs=1e-4)
    assert Figures.from_json(json.loads(json.dumps(figures.to_json()))) == figures


def test_reliability_holds_mean_score_and_accuracy_of_its_bin() -> None:
    probabilities = np.array([[0.9, 0.1], [0.88, 0.12], [1.0, 0.0]], np.float32)
    bins = measure_figures(probabilities, np.array([0, 1, 0]), None, None).reliability or ()
    assert len(bins) == 15
    assert bins[13] == ReliabilityBin(low=0.8667, high=0.9333, photos=2, score=0.89, accuracy=0.5)
    assert bins[14].photos == 1
    assert (bins[0].score, bins[0].accuracy) == (None, None)


def test_coverage_falls_from_the_surest_and_does_not_part_equal_scores() -> None:
    scores = np.array([0.9, 0.6, 0.9, 0.7, 0.6], np.float32)
    labels = np.array([0, 1, 1, 0, 0])
    curve = measure_figures(np.stack([scores, 1 - scores], 1), labels, None, None).coverage
    assert curve == (
        CoveragePoint(coverage=0.4, accuracy=0.5, threshold=0.9),
        CoveragePoint(coverage=0.6, accuracy=0.6667, threshold=0.7),
        CoveragePoint(coverage=1.0, accuracy=0.6, threshold=0.6),
    )


def test_unknown_photos_are_in_no_curve_over_the_scores_but_count_as_photos() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.array([0, 1, 0, 0])
    probabilities = np.stack([scores, 1 - scores], 1)
    unknown = np.array([0.1, 0.9, 0.1, 0.5], np.float32)
    once = measure_figures(probabilities, labels, unknown, None)
    assert once.coverage == (
        CoveragePoint(coverage=0.25, accuracy=1.0, threshold=0.9),
        CoveragePoint(coverage=0.5, accuracy=1.0, threshold=0.7),
        CoveragePoint(coverage=0.75, accuracy=1.0, threshold=0.6),
    )
    assert once.scores is not None
    assert (sum(once.scores.right), sum(once.scores.wrong)) == (3, 0)
    twice = measure_figures(np.tile(probabilities, (2, 1)), np.tile(labels, 2), unknown, None, repeats=2)
    assert (twice.coverage, twice.scores) == (once.coverage, once.scores)
    nothing = measure_figures(probabilities, labels, np.ones(4, np.float32), None)
    assert (nothing.coverage, sum(row.photos for row in nothing.reliability or ())) == ((), 4)


def test_coverage_of_many_photos_has_at_most_101_points() -> None:
    curve = measure_figures(*answers(5000, 4), None, None).coverage or ()
    assert len(curve) == 101
    assert all(a.threshold > b.threshold for a, b in pairwise(curve))


def test_recall_and_precision_of_each_class_have_intervals() -> None:
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 0]]
    rows = measure_figures(probabilities, np.array([0, 0, 0, 1]), None, None).per_class or ()
    assert (rows[0].photos, rows[0].answered, rows[0].right) == (3, 3, 2)
    assert rows[0].recall == rows[0].precision == 0.6667
    assert rows[0].recall_95_interval == pytest.approx(wilson_interval(2, 3), abs=1e-4)
    assert (rows[1].recall, rows[1].precision) == (0.0, 0.0)
    assert (rows[2].recall, rows[2].recall_95_interval, rows[2].precision_95_interval) == (None, None, None)


def test_unknown_is_null_where_it_was_not_measured() -> None:
    probabilities, labels = answers(20, 2)
    assert measure_figures(probabilities, labels, None, None).to_json()["unknown"] is None
    without_outliers = measure_figures(probabilities, labels, np.full(20, 0.97, np.float32), None).to_json()["unknown"]
    assert without_outliers == {"known": [0] * 19 + [20], "outliers": None}


@pytest.mark.parametrize("repeats", [1, 2, 4])
def test_repeats_of_the_same_answers_change_no_figure(repeats: int) -> None:
    probabilities, labels = answers(60, 3)
    once = measure_figures(probabilities, labels, probabilities[:, 0], probabilities[:, 1])
    tiled = np.tile(probabilities, (repeats, 1)), np.tile(labels, repeats)
    assert measure_figures(*tiled, probabilities[:, 0], probabilities[:, 1], repeats=repeats) == once


def test_differing_repeats_are_averaged() -> None:
    """A photo that is answered rightly in one of two repeats is half a right answer, in all half a dozen of them."""
    probabilities = np.array([[0.9, 0.1]] * 12 + [[0.1, 0.9]] * 12, np.float32)
    figures = measure_figures(probabilities, np.zeros(24, np.int64), None, None, repeats=2)
    first = (figures.per_class or ())[0]
    assert (first.photos, first.right, first.recall) == (12, 6, 0.5)
    assert figures.scores is not None
    assert (sum(figures.scores.right), sum(figures.scores.wrong)) == (6, 6)


@settings(deadline=None)  # a loaded machine is no fault
@given(seed=st.integers(0, 2**31), photos=st.integers(4, 60), classes=st.integers(2, 8), repeats=st.integers(2, 5))
def test_rounded_means_over_repeats_fit_each_other(seed: int, photos: int, classes: int, repeats: int) -> None:
    """Each count was rounded by itself once: a class could have more right answers than answers."""
    probabilities, _ = answers(photos * repeats, classes, seed)
    labels = np.tile(np.random.default_rng(seed).integers(0, classes, photos), repeats)
    rows = measure_figures(probabilities, labels, None, None, repeats=repeats).per_class or ()
    assert all(row.right <= min(row.photos, row.answered) for row in rows)
    assert sum(row.photos for row in rows) == sum(row.answered for row in rows) == photos
    assert [row.photos for row in rows] == np.bincount(labels[:photos], minlength=classes).tolist()
