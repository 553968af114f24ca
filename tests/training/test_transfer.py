"""Trainings from pretrained weights, from a folder of photos to a checkpoint and its report."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.pictures import draw
from tests.training.transfer.small import BRIEF
from whisker.model import Classifier, load_checkpoint
from whisker.model.errors import ConfigError
from whisker.training.config import Grouping, TransferRecipe
from whisker.training.errors import DatasetError
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress
from whisker.training.transfer import features


def with_recipe(training: Training, **changes: Any) -> Training:
    recipe = replace(training.config.transfer or TransferRecipe(), **changes)
    return replace(training, config=replace(training.config, transfer=recipe))


def test_probe_of_a_few_photos_is_good_and_says_how_it_was_made(transferred: Training) -> None:
    checkpoint = load_checkpoint(transferred.out)
    test, provenance = checkpoint.metrics["test"], checkpoint.provenance
    assert test["photos"] == 24
    assert test["accuracy"] >= 0.8
    assert checkpoint.metrics["cross_validation"] == {"folds": 5, "repeats": 4}
    assert provenance["data"]["train"] == 24
    assert "test" not in provenance["data"]
    assert "shares" not in provenance
    assert provenance["method"] == "Linear probe"
    assert [tried["name"] for tried in provenance["candidates"]] == ["Linear probe"]
    assert provenance["candidates"][0]["accuracy"] == pytest.approx(test["accuracy"], abs=0.2)
    assert provenance["pretrained"] == transferred.config.pretrained
    assert provenance["recipe"]["fine_tuning"] is None
    assert (checkpoint.preprocessing.size, checkpoint.preprocessing.resample) == (64, "bicubic")
    assert not transferred.state_file.exists()


def test_checkpoint_keeps_an_answer_for_every_photo_when_it_was_held_out(transferred: Training) -> None:
    checkpoint = load_checkpoint(transferred.out)
    held_out, labels = checkpoint.held_out, np.repeat([0, 1], 12)
    assert held_out is not None
    assert held_out.logits.shape == (4, 24, 2)
    right = (held_out.logits.argmax(2) == labels).mean()
    assert checkpoint.metrics["test"]["accuracy"] == pytest.approx(float(right), abs=1e-4)
    for folds in held_out.folds:
        assert {np.bincount(folds[labels == label]).tolist().count(0) for label in (0, 1)} == {0}


def test_final_probe_fits_its_photos_better_than_held_out_ones(transferred: Training) -> None:
    classifier = Classifier.load(transferred.out)
    for label in classifier.classes:
        files = sorted((transferred.photos / label).iterdir())
        answers = classifier.predict([file.read_bytes() for file in files])
        assert all(answer.label == label for answer in answers)


def test_too_few_photos_show_no_confidence(transferred: Training) -> None:
    """24 right answers cannot show that 99 % are right: none is confident, and each says why."""
    checkpoint = load_checkpoint(transferred.out)
    assert not checkpoint.thresholds.shown
    assert checkpoint.metrics["confident"]["answers"] == 0
    (answer,) = Classifier.load(transferred.out).predict([(transferred.photos / "rings" / "000.png").read_bytes()])
    assert answer.verdict == "unsure"
    assert answer.reason is not None
    assert answer.reason.startswith("No photos have shown")


def test_report_shows_candidates_and_the_learning_curve(transferred: Training) -> None:
    report = transferred.report_file.read_text()
    curve = load_checkpoint(transferred.out).metrics["learning_curve"]
    assert [point["photos"] for point in curve["measured"]] == [5, 10, 19]
    assert curve["doubled"]["photos"] == 48
    for text in ("Linear probe", "Accuracy by training photos: ", "expected with 48."):
        assert text in report


def test_equal_seeds_give_equal_checkpoints(transferred: Training, transfer: Training, quiet: Progress) -> None:
    run_training(transfer, quiet)
    first, again = load_checkpoint(transferred.out), load_checkpoint(transfer.out)
    assert all(torch.equal(value, again.state[name]) for name, value in first.state.items())
    assert first.held_out is not None
    assert again.held_out is not None
    np.testing.assert_array_equal(first.held_out.logits, again.held_out.logits)
    assert (first.temperature, first.thresholds) == (again.temperature, again.thresholds)


def test_fine_tuning_is_tried_and_the_best_is_kept(transfer: Training, quiet: Progress) -> None:
    run_training(with_recipe(transfer, fine_tuning=BRIEF, minutes=60.0), quiet)
    checkpoint = load_checkpoint(transfer.out)
    tried = {row["name"]: row for row in checkpoint.provenance["candidates"]}
    assert list(tried) == ["Linear probe", "Fine-tuned, averaged with the probe (50%)", "Fine-tuned"]
    kept, probe = tried[checkpoint.provenance["method"]], tried["Linear probe"]
    assert kept["negative_log_likelihood"] <= probe["negative_log_likelihood"]
    assert kept["accuracy"] >= probe["accuracy"]
    tuned = checkpoint.provenance["method"] != "Linear probe"
    assert ("epochs" in checkpoint.provenance) == tuned
    assert checkpoint.held_out is not None
    assert checkpoint.held_out.repeats == (1 if tuned else 4)
    assert (checkpoint.held_out.distances is not None) == tuned
    assert checkpoint.metrics["cross_validation"]["repeats"] == checkpoint.held_out.repeats
    report = transfer.report_file.read_text()
    assert all(name in report for name in tried)


def test_no_minutes_leave_the_probe(transfer: Training, quiet: Progress) -> None:
    run_training(with_recipe(transfer, fine_tuning=BRIEF, minutes=0.0), quiet)
    provenance = load_checkpoint(transfer.out).provenance
    assert [tried["name"] for tried in provenance["candidates"]] == ["Linear probe"]


def test_photos_are_set_aside_on_demand(transfer: Training, quiet: Progress) -> None:
    aside = with_recipe(transfer, cross_validated=False, fine_tuning=BRIEF, minutes=60.0)
    run_training(replace(aside, config=replace(aside.config, validation=0.25, test=0.25)), quiet)
    checkpoint = load_checkpoint(transfer.out)
    assert checkpoint.held_out is None
    data = checkpoint.provenance["data"]
    assert (data["train"], data["validation"], data["test"]) == (12, 6, 6)
    assert checkpoint.provenance["shares"] == {"validation": 0.25, "test": 0.25}
    assert checkpoint.metrics["test"]["photos"] == 6
    assert "cross_validation" not in checkpoint.metrics
    assert "learning_curve" not in checkpoint.metrics
    assert len(checkpoint.provenance["candidates"]) == 3


def test_what_was_learnt_of_another_split_is_not_used_again(transfer: Training, quiet: Progress) -> None:
    """Its training photos are test photos now: features and fine-tuned weights in the work folder are of no use."""
    aside = with_recipe(transfer, cross_validated=False, fine_tuning=BRIEF, minutes=60.0)
    for out, validation in ((aside.out, 0.4), (aside.out, 0.25), (aside.out.with_stem("fresh"), 0.25)):
        config = replace(aside.config, validation=validation, test=0.25)
        run_training(replace(aside, out=out, config=config, overwrite=True), quiet)
    after, fresh = (load_checkpoint(out) for out in (aside.out, aside.out.with_stem("fresh")))
    assert after.provenance["candidates"] == fresh.provenance["candidates"]


def test_interrupted_training_goes_on_with_the_features_it_has(
    transfer: Training, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of the first training holds them all: the second one runs the network over no photo of it."""
    run_training(transfer, quiet)
    done = (transfer.work / "cache-features-train" / "done.json").read_text()
    assert json.loads(done)["done"] == 24

    def refuse(*_: object) -> np.typing.NDArray[np.float32]:
        raise AssertionError("features are computed again")

    monkeypatch.setattr(features, "_views", refuse)
    run_training(replace(transfer, overwrite=True), quiet)
    draw("rings", 77).save(transfer.photos / "rings" / "new.png")
    with pytest.raises(AssertionError, match="computed again"):
        run_training(replace(transfer, overwrite=True), quiet)


def keep_one(photos: Path) -> None:
    for path in sorted((photos / "rings").iterdir())[1:]:
        path.unlink()


def keep_copies_of_one(photos: Path) -> None:
    first, *others = sorted((photos / "rings").iterdir())
    for path in others:
        path.write_bytes(first.read_bytes())


@pytest.mark.parametrize("change", [keep_one, keep_copies_of_one])
def test_class_with_a_single_photo_is_refused(
    change: Callable[[Path], None], transfer: Training, quiet: Progress
) -> None:
    change(transfer.photos)
    with pytest.raises(DatasetError, match=r"The class 'rings' has only 1 different readable photo, .* at least 2"):
        run_training(transfer, quiet)
    assert not [*transfer.work.glob("cache-features*")]  # refused before the work begins
    assert not transfer.out.exists()


def test_weights_that_are_missing_are_asked_for(transfer: Training, quiet: Progress) -> None:
    with pytest.raises(ConfigError, match="A transfer needs pretrained weights: give --pretrained"):
        run_training(replace(transfer, pretrained=None), quiet)


def test_no_group_is_on_both_sides_of_a_fold(transfer: Training, quiet: Progress) -> None:
    """Four cameras took photos of both classes; in the file, photos are in the order of classes and paths."""
    for path in sorted(transfer.photos.rglob("*.png")):
        camera = path.parent / f"camera{int(path.stem) % 4}"
        camera.mkdir(exist_ok=True)
        path.rename(camera / path.name)
    grouped = replace(transfer, config=replace(transfer.config, groups=Grouping(folder_level=1)))
    run_training(grouped, quiet)
    checkpoint = load_checkpoint(grouped.out)
    assert checkpoint.held_out is not None
    assert checkpoint.metrics["cross_validation"]["folds"] == 4
    files = [path for label in ("rings", "stripes") for path in sorted((grouped.photos / label).rglob("*.png"))]
    cameras = np.array([path.parent.name for path in files])
    for folds in checkpoint.held_out.folds:
        assert sorted({int(fold) for camera in np.unique(cameras) for fold in set(folds[cameras == camera])}) == [
            0,
            1,
            2,
            3,
        ]
        assert all(len(set(folds[cameras == camera])) == 1 for camera in np.unique(cameras))
    assert checkpoint.provenance["groups"]["count"] == 4


def test_unrelated_photos_that_do_not_help_are_refused(transfer: Training, tmp_path: Path) -> None:
    """Photos of the classes themselves, in the guise of unrelated ones: nothing can be learnt from them."""
    others = tmp_path / "others"
    others.mkdir()
    for number in range(60):
        draw(("rings", "stripes")[number % 2], 500 + number).save(others / f"{number}.png")
    text = io.StringIO()
    run_training(replace(transfer, outliers=others), Progress(Console(file=text, width=1000)))
    assert "The unrelated photos were not used: learning from some kinds of them caught" in text.getvalue()
    checkpoint = load_checkpoint(transfer.out)
    assert checkpoint.novelty is not None
    assert not checkpoint.novelty.direction.any()
    assert checkpoint.metrics["unknown"]["outliers"]["of"] == 60
