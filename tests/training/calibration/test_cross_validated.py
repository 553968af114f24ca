"""Calibration without photos set aside: by answers for photos when they were held out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pictures import CLASSES, draw, write_folder
from whisker.model import Checkpoint, load_checkpoint
from whisker.model.checkpoint.contents import HeldOut
from whisker.training.calibration.calibrate import CalibratedCheckpoint, Targets
from whisker.training.calibration.cross_validated import CrossValidated, calibrate_cross_validated
from whisker.training.calibration.metrics import Evaluation
from whisker.training.data.dataset import Split
from whisker.training.errors import TrainingError
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, split_config
from whisker.training.progress import Progress

PHOTOS = 400
LABELS = np.repeat([0, 1], PHOTOS // 2)


def answers(wrong: int, repeats: int = 2) -> HeldOut:
    """Answer all photos but `wrong` rightly, with falling certainty, the same in every repeat."""
    rng = np.random.default_rng(0)
    margin = np.linspace(9, 1, PHOTOS).astype(np.float32)
    margin[PHOTOS - wrong :] *= -0.2
    margin = rng.permutation(margin)
    logits = np.stack([np.where(label == LABELS, margin, 0) for label in (0, 1)], 1).astype(np.float32)
    folds = np.stack([rng.permutation(np.arange(PHOTOS) % 5) for _ in range(repeats)])
    return HeldOut(np.tile(logits, (repeats, 1, 1)), folds)


def photos_of(held_out: HeldOut) -> CrossValidated:
    """Make photos with features of two clusters, all of them with the pixels of a few."""
    rng = np.random.default_rng(1)
    features = np.eye(16, dtype=np.float32)[LABELS] + 0.1 * rng.normal(size=(PHOTOS, 16)).astype(np.float32)
    pixels = np.stack([np.asarray(draw(label, 0, (32, 32))) for label in CLASSES])
    return CrossValidated(Split(pixels, LABELS, LABELS, groups=np.arange(PHOTOS)), held_out, features, tuned=False)


def calibrated(
    untrained: Checkpoint, data: CrossValidated, progress: Progress, targets: Targets | None = None
) -> CalibratedCheckpoint:
    return calibrate_cross_validated(
        untrained, data, curve=None, targets=targets or Targets(0.95), device="cpu", progress=progress
    )


def test_figures_count_every_photo_once(untrained: Checkpoint, quiet: Progress) -> None:
    result = calibrated(untrained, photos_of(answers(wrong=20)), quiet)
    metrics = result.checkpoint.metrics
    assert result.evaluation.photos == metrics["test"]["photos"] == PHOTOS
    assert metrics["test"]["accuracy"] == 0.95
    assert sum(map(sum, metrics["test"]["confusion"])) == PHOTOS
    assert metrics["cross_validation"] == {"folds": 5, "repeats": 2}
    assert metrics["confident"]["of"] == metrics["unknown"]["of"] == PHOTOS
    assert sum(row["photos"] for row in metrics["figures"]["reliability"]) == PHOTOS
    assert result.scores.probabilities.shape == (PHOTOS, 2)
    assert "validation" not in metrics


@pytest.mark.parametrize("repeats", [1, 4])
def test_repeats_of_the_same_answers_change_no_choice(repeats: int, untrained: Checkpoint, quiet: Progress) -> None:
    once = calibrated(untrained, photos_of(answers(20, repeats=2)), quiet).checkpoint
    other = calibrated(untrained, photos_of(answers(20, repeats=repeats)), quiet).checkpoint
    assert other.temperature == pytest.approx(once.temperature, rel=1e-4)
    assert other.thresholds.unsure == pytest.approx(once.thresholds.unsure, rel=1e-4)
    assert other.metrics["test"] == once.metrics["test"]


def test_confident_answers_keep_their_promise_on_photos_that_did_not_choose_the_threshold(
    untrained: Checkpoint, quiet: Progress
) -> None:
    metrics = calibrated(untrained, photos_of(answers(wrong=20)), quiet).checkpoint.metrics
    confident = metrics["confident"]
    assert confident["promised"]
    assert confident["answers"] > PHOTOS / 2
    assert confident["wrong"] / confident["answers"] <= 0.05


@pytest.mark.parametrize("measured", [True, False])
def test_unknown_after_fine_tuning_rests_on_distances_from_networks_without_the_photo(
    measured: bool,  # noqa: FBT001
    untrained: Checkpoint,
    quiet: Progress,
) -> None:
    """By features that have seen the photos, other photos of the classes seem strange: nothing is promised then."""
    data, far = photos_of(answers(wrong=20)), np.linspace(0.5, 1.5, PHOTOS, dtype=np.float32)
    held_out = replace(data.held_out, distances=far if measured else None)
    checkpoint = calibrated(untrained, replace(data, held_out=held_out, tuned=True), quiet).checkpoint
    assert checkpoint.novelty is not None
    assert (checkpoint.novelty.threshold > 1.4) == measured
    assert checkpoint.metrics["unknown"]["promised"] == measured


def test_too_many_errors_leave_no_answer_confident(untrained: Checkpoint, quiet: Progress) -> None:
    checkpoint = calibrated(untrained, photos_of(answers(wrong=20)), quiet, Targets(0.9999)).checkpoint
    assert not checkpoint.thresholds.shown
    assert checkpoint.metrics["confident"]["answers"] == 0


@pytest.fixture
def again(transferred: Training, tmp_path: Path) -> Training:
    """Calibrate the cross-validated checkpoint for other targets."""
    return replace(
        transferred,
        out=tmp_path / "again.safetensors",
        config=split_config(load_checkpoint(transferred.out)),
        targets=Targets(precision=0.5, false_alarms=0.4),
    )


def test_verdicts_are_fitted_anew_to_the_stored_answers(
    transferred: Training, again: Training, quiet: Progress
) -> None:
    before = load_checkpoint(transferred.out)
    evaluation = run_calibration(again, before, quiet)
    after = load_checkpoint(again.out)
    assert all(torch.equal(before.state[name], after.state[name]) for name in before.state)
    assert after.held_out is not None
    assert before.held_out is not None
    np.testing.assert_array_equal(after.held_out.logits, before.held_out.logits)
    assert after.temperature == pytest.approx(before.temperature, rel=1e-3)
    assert isinstance(evaluation, Evaluation)
    assert after.metrics["test"]["accuracy"] == before.metrics["test"]["accuracy"] == round(evaluation.accuracy, 4)
    assert after.metrics["learning_curve"] == before.metrics["learning_curve"]
    assert not before.thresholds.shown
    assert after.thresholds.shown
    assert after.metrics["unknown"]["promised_rate"] == 0.4
    assert after.provenance["calibration"]["command"] == again.command
    assert again.report_file.exists()


def move(photos: Path) -> None:
    (photos / "rings" / "000.png").rename(photos / "stripes" / "moved.png")


def rename(photos: Path) -> None:
    (photos / "rings" / "000.png").rename(photos / "rings" / "zzz.png")


def add(photos: Path) -> None:
    draw("rings", 77).save(photos / "rings" / "new.png")


def remove(photos: Path) -> None:
    (photos / "rings" / "003.png").unlink()


@pytest.mark.parametrize("change", [move, rename, add, remove])
def test_photos_that_the_stored_answers_do_not_belong_to_are_refused(
    change: Callable[[Path], None], again: Training, transferred: Training, quiet: Progress, tmp_path: Path
) -> None:
    """Answers are stored in the order of classes and paths: another order would give each photo another's answer."""
    photos = write_folder(tmp_path / "photos", 12)
    change(photos)
    with pytest.raises(TrainingError, match="does not hold exactly the photos that shapes was trained with"):
        run_calibration(replace(again, photos=photos), load_checkpoint(transferred.out), quiet)
    assert not again.out.exists()
