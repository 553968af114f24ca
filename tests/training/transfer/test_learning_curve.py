"""Whether more photos would help: measured on parts of the photos, and extended with care."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.transfer.small import clusters
from whisker.model.card.metrics import LearningCurve
from whisker.training.config import TransferRecipe
from whisker.training.progress import Progress
from whisker.training.transfer.learning_curve import measure_learning_curve
from whisker.training.transfer.probe import ProbeData


def measure(
    data: ProbeData, progress: Progress, folds: int = 5, seed: int = 0, kept: float = 0.9
) -> LearningCurve | None:
    """Measure a curve; the network that is kept errs for the same share of each photo's answers."""
    photos = len(data.labels)
    return measure_learning_curve(
        data,
        np.arange(photos),
        np.full(photos, kept),
        folds=folds,
        recipe=TransferRecipe(),
        seed=seed,
        progress=progress,
    )


@pytest.mark.parametrize("spread", [0.2, 4.0, 100.0])  # easy, hard, and no more than chance
def test_intervals_hold_their_points_and_more_photos_do_no_harm(spread: float, quiet: Progress) -> None:
    curve = measure(clusters(20, spread=spread), quiet)
    assert curve is not None
    for point in (*curve.measured, curve.doubled):
        low, high = point.accuracy_95_interval
        assert 0 <= low <= point.accuracy <= high <= 1
    assert curve.doubled.photos == 120
    assert curve.doubled.accuracy >= 0.9
    assert len(curve.gains) == 3
    assert min(curve.gains) >= 0


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.97, 1.0])
def test_expectation_starts_at_the_network_that_is_kept(kept: float, quiet: Progress) -> None:
    """It started at the probes: a fine-tuned network, or a lucky one, was expected to lose by more photos."""
    curve = measure(clusters(20, spread=4.0), quiet, kept=kept)
    assert curve is not None
    low, high = curve.doubled.accuracy_95_interval
    assert kept <= curve.doubled.accuracy <= high <= 1
    assert low <= curve.doubled.accuracy
    assert low < 1  # no errors among few photos are no promise


def test_parts_are_halves_of_the_photos_of_a_fold(quiet: Progress) -> None:
    curve = measure(clusters(20), quiet)
    assert curve is not None
    assert [point.photos for point in curve.measured] == [6, 12, 24, 48]


def test_parts_keep_two_photos_of_every_class(quiet: Progress) -> None:
    rare = clusters(20).take(np.r_[0:25, 40:60])  # five of the second class, four of them in the other folds
    curve = measure(rare, quiet)
    assert curve is not None
    assert [point.photos for point in curve.measured] == [18, 36]


@pytest.mark.parametrize(("photos", "folds"), [(2, 2), (3, 3), (4, 4)])
def test_too_few_photos_have_no_curve(photos: int, folds: int, quiet: Progress) -> None:
    assert measure(clusters(photos), quiet, folds) is None


def test_hard_task_gains_by_photos_and_easy_one_hardly(quiet: Progress) -> None:
    hard = measure(clusters(30, width=24, spread=5.0), quiet, kept=0.7)
    easy = measure(clusters(30, width=24, spread=0.2), quiet)
    assert hard is not None
    assert easy is not None
    assert hard.measured[-1].accuracy > hard.measured[0].accuracy
    assert hard.doubled.accuracy > 0.7
    assert easy.measured[-1].accuracy == 1.0
    assert max(easy.gains) < 0.02 < max(hard.gains)


def test_gains_are_those_of_the_classes_that_err(quiet: Progress) -> None:
    """Two classes that overlap, and one far away."""
    data = clusters(20, spread=1.0)
    far = data.features.copy()
    far[:, data.labels == 1] = far[:, data.labels == 1] * 0.2 + 0.8 * far[:, data.labels == 0]
    far[:, data.labels == 2] += 30
    curve = measure(replace(data, features=far), quiet)
    assert curve is not None
    assert curve.gains[2] < max(curve.gains[:2])


def test_seed_decides(quiet: Progress) -> None:
    data = clusters(15, spread=5.0)
    first, again, other = (measure(data, quiet, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
