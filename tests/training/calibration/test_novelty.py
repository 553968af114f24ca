"""The novelty measure on synthetic features: classes are clusters on the sphere, unrelated photos lie elsewhere."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.training.calibration.novelty import MIN_OUTLIERS, KnownPhotos, NoveltyFit, fit_novelty

FEATURES = 32
CLASSES = 3
CENTRES = functional.normalize(torch.randn((CLASSES, FEATURES), generator=torch.Generator().manual_seed(7)))


def known(photos: int, seed: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Draw features of photos of the classes, of differing length, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (photos,), generator=generator)
    noise = 0.12 * torch.randn((photos, FEATURES), generator=generator)
    length = 1 + torch.rand((photos, 1), generator=generator)
    return (CENTRES[labels] + noise) * length, labels.numpy()


def others(photos: int, seed: int) -> Tensor:
    """Draw features of other things: near the classes, but all displaced in one direction."""
    generator = torch.Generator().manual_seed(seed)
    features, _ = known(photos, seed + 1000)
    displaced = torch.zeros(FEATURES)
    displaced[0] = 0.6
    return features + displaced + 0.1 * torch.randn((photos, FEATURES), generator=generator)


def fit(outliers: Tensor | None = None, groups: NDArray[np.int64] | None = None, validation: int = 500) -> NoveltyFit:
    photos = KnownPhotos(*known(600, 1), known(validation, 2)[0])
    return fit_novelty(photos, false_alarms=0.05, outliers=outliers, groups=groups)


def share_unknown(fitted: NoveltyFit, features: Tensor) -> float:
    return float((fitted.novelty.scores(features.numpy()) > UNKNOWN_SCORE).mean())


def test_noise_is_unknown_without_any_example_of_it() -> None:
    fitted = fit()
    assert fitted.guaranteed
    assert fitted.outlier_scores is None
    assert not fitted.novelty.direction.any()
    noise = torch.randn((500, FEATURES), generator=torch.Generator().manual_seed(3))
    assert share_unknown(fitted, noise) > 0.99


def test_examples_of_other_things_help_to_catch_more() -> None:
    taught, untaught = fit(others(300, 10), np.arange(300)), fit()
    assert taught.novelty.direction.any()
    fresh = others(1000, 11)
    assert share_unknown(taught, fresh) > 0.75
    assert share_unknown(taught, fresh) > share_unknown(untaught, fresh) + 0.15


@pytest.mark.parametrize("examples", [0, 300])
def test_false_alarm_rate_is_kept_on_fresh_photos(examples: int) -> None:
    """Guaranteed with 95 % confidence: among validation splits drawn anew, nearly all keep it."""
    train, labels = known(600, 1)
    outliers = others(examples, 10) if examples else None
    fresh, _ = known(20_000, 99)
    rates = []
    for seed in range(20):
        fitted = fit_novelty(
            KnownPhotos(train, labels, known(400, 200 + seed)[0]), false_alarms=0.05, outliers=outliers
        )
        assert fitted.guaranteed
        rates.append(share_unknown(fitted, fresh))
    assert sum(rate <= 0.05 for rate in rates) >= 17  # of 20, at 95 % each: fewer in one run of a hundred
    assert 0.02 < float(np.mean(rates)) < 0.05


def test_typical_score_is_that_of_the_middle_validation_photo() -> None:
    assert float(np.median(fit().novelty.scores(known(500, 2)[0].numpy()))) == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize(("validation", "alarms"), [(30, 0), (40, 1), (90, 2)])
def test_too_few_validation_photos_are_no_guarantee(validation: int, alarms: int) -> None:
    """Half of the false alarms that are allowed are taken, as no threshold that is of use could be guaranteed."""
    fitted = fit(validation=validation)
    assert not fitted.guaranteed
    assert share_unknown(fitted, known(validation, 2)[0]) * validation == pytest.approx(alarms)


@pytest.mark.parametrize(("examples", "learned"), [(MIN_OUTLIERS - 1, False), (MIN_OUTLIERS, True)])
def test_too_few_other_things_leave_the_distance_alone(examples: int, learned: bool) -> None:  # noqa: FBT001
    fitted = fit(others(examples, 10), np.arange(examples))
    assert bool(fitted.novelty.direction.any()) is learned
    assert fitted.outlier_scores is not None
    assert fitted.outlier_scores.shape == (examples,)
    if not learned:
        assert fitted.novelty.distance_weight == 1.0
        np.testing.assert_array_equal(fitted.outlier_scores, fitted.novelty.scores(others(examples, 10).numpy()))


def test_outliers_are_judged_by_measures_that_have_not_seen_their_kind() -> None:
    """Each kind lies in a direction of its own, far from the others: from the others it cannot be learnt."""
    kinds = np.repeat(np.arange(5), 40)
    outliers = known(200, 50)[0] + 0.45 * torch.eye(FEATURES)[kinds + 3]
    by_kind, mixed = fit(outliers, kinds), fit(outliers, np.tile(np.arange(5), 40))
    assert by_kind.caught is not None
    assert mixed.caught is not None
    assert by_kind.caught[0] < mixed.caught[0] - 20


def test_kinds_are_told_apart_where_no_folder_names_them() -> None:
    kinds = np.repeat(np.arange(5), 40)
    outliers = known(200, 50)[0] + 3 * torch.eye(FEATURES)[kinds + 3]
    ungrouped, by_kind = fit(outliers, np.arange(200)), fit(outliers, kinds)
    assert ungrouped.caught is not None
    assert by_kind.caught is not None
    assert abs(ungrouped.caught[0] - by_kind.caught[0]) <= 10


def test_scores_of_outliers_do_not_come_from_a_fit_on_themselves() -> None:
    """Of noise labels nothing can be learnt: photos of the classes themselves are called unknown as seldom as any."""
    same, _ = known(100, 77)
    scores = fit(same, np.arange(100)).outlier_scores
    assert scores is not None
    assert (scores > UNKNOWN_SCORE).mean() < 0.15


@pytest.mark.parametrize("photos", [8, 40, 600])
def test_no_prototype_is_a_single_photos(photos: int) -> None:
    train, labels = known(photos, 1)
    train[0] = -5 * train[0]  # one lies where no other does, and would be a cluster of its own
    labels[:] = 0
    prototypes = fit_novelty(KnownPhotos(train, labels, train), false_alarms=0.05).novelty.prototypes
    likeness = functional.normalize(train) @ torch.from_numpy(prototypes).T
    assert float(likeness.max()) < 0.999
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1, atol=1e-3)
    assert len(prototypes) <= photos // 4


def test_prototypes_are_shared_by_the_classes() -> None:
    train, _ = known(5000, 1)
    for classes in (2, 10, 1000):
        labels = np.arange(5000) % classes
        prototypes = fit_novelty(KnownPhotos(train, labels, train), false_alarms=0.05).novelty.prototypes
        assert classes <= len(prototypes) <= max(256, classes)


def test_measure_is_the_one_that_a_checkpoint_keeps() -> None:
    prototypes = fit().novelty.prototypes
    np.testing.assert_array_equal(prototypes, prototypes.astype(np.float16))


def test_equal_photos_give_equal_measures() -> None:
    first, second = (fit(others(200, 10), np.arange(200)).novelty for _ in range(2))
    np.testing.assert_array_equal(first.prototypes, second.prototypes)
    np.testing.assert_array_equal(first.direction, second.direction)
    assert first.threshold == second.threshold


def test_small_class_is_as_familiar_as_large_ones() -> None:
    """It has one prototype only: compared with more, its photos would be measured by other classes' prototypes."""
    train, labels = known(600, 1)
    small = torch.cat([train[labels != 0], train[labels == 0][:6]])
    of_small = np.concatenate([labels[labels != 0], np.zeros(6, np.int64)])
    fitted = fit_novelty(KnownPhotos(small, of_small, known(500, 2)[0]), false_alarms=0.05)
    assert fitted.novelty.neighbours == 1
    fresh, fresh_labels = known(2000, 3)
    assert share_unknown(fitted, fresh[fresh_labels == 0]) < 0.25


def test_outliers_that_do_not_help_are_refused() -> None:
    """Photos of the classes themselves as "other things": what is learnt from them catches no more than before."""
    same, _ = known(100, 77)
    fitted = fit(same, np.arange(100))
    assert fitted.refused
    assert fitted.caught is not None
    assert fitted.caught[0] <= fitted.caught[1]
    np.testing.assert_array_equal(fitted.novelty.direction, fit().novelty.direction)
    assert fitted.novelty.threshold == fit().novelty.threshold


def test_outliers_that_are_all_alike_are_measured_and_not_learnt_from() -> None:
    """They are one kind: nothing can be held out. Learning from the none that were left divided by zero."""
    alike = others(1, 5).repeat(60, 1)
    fitted = fit(alike, np.arange(60))
    assert not fitted.novelty.direction.any()
    assert fitted.outlier_scores is not None
    assert len(fitted.outlier_scores) == 60


def test_outliers_that_help_are_not_refused() -> None:
    fitted = fit(others(300, 10), np.arange(300))
    assert not fitted.refused
    assert fitted.caught is not None
    assert fitted.caught[0] > fitted.caught[1]


@pytest.mark.parametrize("examples", [0, 300])
def test_cross_validation_keeps_the_false_alarm_rate_without_photos_set_aside(examples: int) -> None:
    outliers = others(examples, 10) if examples else None
    fresh, _ = known(20_000, 99)
    rates = []
    for seed in range(20):
        train, labels = known(400, 300 + seed)
        photos = KnownPhotos(train, labels, folds=np.arange(400) % 5)
        fitted = fit_novelty(photos, false_alarms=0.05, outliers=outliers)
        assert fitted.guaranteed
        rates.append(share_unknown(fitted, fresh))
    assert sum(rate <= 0.05 for rate in rates) >= 17  # as above
    assert 0.01 < float(np.mean(rates)) < 0.05


def test_direction_takes_the_distances_that_were_measured_without_the_photo() -> None:
    (train, labels), outliers, folds = known(200, 1), others(100, 10), np.arange(200) % 5
    distances = KnownPhotos(train, labels, folds=folds).held_out_scores(None)
    seen = KnownPhotos(train, labels, folds=folds).held_out_scores(outliers)
    same, farther = (
        KnownPhotos(train, labels, folds=folds, distances=distances + more).held_out_scores(outliers)
        for more in (0.0, np.float32(0.5))
    )
    np.testing.assert_allclose(same, seen, atol=1e-5)
    assert (farther > seen).all()
