"""Classes are added without the photos of the others: a checkpoint of rings and stripes learns discs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.conftest import TINY
from tests.pictures import draw, encode
from whisker.model import Checkpoint, Classifier, load_checkpoint
from whisker.model.answers.novelty import normalize
from whisker.training.config import PRESETS, TrainingConfig
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.extending import run_extension
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, split_config
from whisker.training.progress import Progress

NEW_PHOTOS = 24


def draw_disc(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Draw a plain disc on a plain background, both of random colours."""
    rng = np.random.default_rng((9, seed))
    image = Image.new("RGB", size, tuple(rng.integers(0, 110, 3).tolist()))
    x, y, radius = int(rng.integers(16, 32)), int(rng.integers(14, 26)), int(rng.integers(8, 13))
    light = tuple(rng.integers(140, 255, 3).tolist())
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=light)
    return image


def write_discs(folder: Path, photos: int = NEW_PHOTOS) -> None:
    folder.mkdir(parents=True)
    for seed in range(photos):
        draw_disc(seed).save(folder / f"{seed:03}.png")


def extension(photos: Path, out: Path) -> Training:
    config = TrainingConfig(PRESETS["quick"], TINY)
    return Training(photos, out, config, device="cpu", command="whisker train discs --extend shapes.safetensors")


@pytest.fixture(scope="module")
def extended(trained: Training, tmp_path_factory: pytest.TempPathFactory, quiet: Progress) -> Training:
    """Extend the trained checkpoint by discs alone."""
    root = tmp_path_factory.mktemp("extended")
    write_discs(root / "new" / "discs")
    training = extension(root / "new", root / "more.safetensors")
    run_extension(training, load_checkpoint(trained.out), quiet)
    return training


@pytest.fixture
def before(trained: Training) -> Checkpoint:
    return load_checkpoint(trained.out)


def test_new_class_is_known_and_old_ones_are_not_forgotten(extended: Training) -> None:
    classifier = Classifier.load(extended.out)
    assert classifier.classes == ("discs", "rings", "stripes")
    for label in classifier.classes:
        pictures = [draw_disc(s) if label == "discs" else draw(label, s) for s in range(500, 540)]
        right = [answer.label == label for answer in classifier.predict([encode(picture) for picture in pictures])]
        assert np.mean(right) >= 0.75, label


def test_no_answer_promises_what_was_not_shown(extended: Training) -> None:
    classifier = Classifier.load(extended.out)
    assert not classifier.checkpoint.thresholds.shown
    answers = classifier.predict([encode(draw("rings", seed)) for seed in range(500, 540)])
    assert {answer.verdict for answer in answers} <= {"unsure", "unknown"}
    assert classifier.checkpoint.metrics["confident"]["promised"] is False


def test_file_says_what_was_added_to_which_checkpoint(extended: Training, before: Checkpoint) -> None:
    (step,) = load_checkpoint(extended.out).provenance["extensions"]
    assert step["extended_from"] == before.sha256
    assert step["added"] == ["discs"]
    assert step["photos"] == {"discs": NEW_PHOTOS}
    assert before.statistics is not None
    assert step["missing"] == before.statistics.counts.sum()
    assert step["command"] == extended.command


def test_cost_is_estimated_from_the_answers_that_were_kept(extended: Training, before: Checkpoint) -> None:
    cost = load_checkpoint(extended.out).metrics["extension"]
    assert cost["new_classes"] == ["discs"]
    assert cost["new_photos"] == NEW_PHOTOS
    assert before.statistics is not None
    assert cost["drawn"] == len(before.statistics.labels)
    right = (before.statistics.logits.argmax(1) == before.statistics.labels).mean()
    assert cost["old_accuracy_before"] == pytest.approx(right, abs=1e-4)
    assert 0.5 < cost["old_accuracy"] <= 1
    assert "stand in for" in extended.report_file.read_text()


def test_network_but_for_its_last_layer_stays(extended: Training, before: Checkpoint) -> None:
    after = load_checkpoint(extended.out)
    changed = [name for name in before.state if not before.state[name].equal(after.state[name])]
    assert sorted(changed) == ["fc.bias", "fc.weight"]


def test_photos_of_old_classes_are_no_stranger_than_before(extended: Training, before: Checkpoint) -> None:
    after = load_checkpoint(extended.out)
    assert before.novelty is not None
    assert after.novelty is not None
    features = normalize(np.random.default_rng(0).random((50, before.novelty.prototypes.shape[1]), np.float32))
    assert (after.novelty.ood_scores(features) <= before.novelty.ood_scores(features) + 1e-6).all()
    assert after.novelty.threshold >= before.novelty.threshold


def test_extended_checkpoint_can_be_extended_again(extended: Training, tmp_path: Path, quiet: Progress) -> None:
    (tmp_path / "new" / "grey").mkdir(parents=True)
    for seed in range(12):
        draw_disc(900 + seed).convert("L").rotate(90).save(tmp_path / "new" / "grey" / f"{seed}.png")
    training = extension(tmp_path / "new", tmp_path / "again.safetensors")
    run_extension(training, load_checkpoint(extended.out), quiet)
    after = load_checkpoint(training.out)
    assert after.classes == ("discs", "grey", "rings", "stripes")
    assert [step["added"] for step in after.provenance["extensions"]] == [["discs"], ["grey"]]


def test_old_photos_that_are_given_replace_as_many_missing_ones(
    before: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    write_discs(tmp_path / "new" / "discs")
    (tmp_path / "new" / "rings").mkdir()
    for seed in range(10):
        draw("rings", seed).save(tmp_path / "new" / "rings" / f"{seed}.png")
    training = extension(tmp_path / "new", tmp_path / "more.safetensors")
    run_extension(training, before, quiet)
    after = load_checkpoint(training.out)
    assert before.statistics is not None
    assert after.statistics is not None
    assert after.provenance["extensions"][0]["missing"] == before.statistics.counts.sum() - 10
    np.testing.assert_array_equal(after.statistics.means[1], before.statistics.means[0])  # rings


def test_folder_without_a_new_class_is_refused(
    trained: Training, before: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    shutil.copytree(trained.photos / "rings", tmp_path / "new" / "rings")
    with pytest.raises(DatasetError, match="holds no class that shapes does not know already"):
        run_extension(extension(tmp_path / "new", tmp_path / "more.safetensors"), before, quiet)


def test_checkpoint_that_cannot_be_extended_is_refused(
    before: Checkpoint, several: Checkpoint, untrained: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    write_discs(tmp_path / "new" / "discs", 4)
    assert before.statistics is not None
    small = replace(before, statistics=replace(before.statistics, counts=np.array([0, 48])))
    for checkpoint, reason in (
        (several, "is a multi-label checkpoint"),
        (untrained, "holds no statistics of its training photos"),
        (small, "fewer than 4 different photos of the class 'rings'"),
    ):
        with pytest.raises(TrainingError, match=reason):
            run_extension(extension(tmp_path / "new", tmp_path / "more.safetensors"), checkpoint, quiet)


def test_verdicts_of_an_extended_checkpoint_cannot_be_fitted_anew(
    extended: Training, trained: Training, tmp_path: Path, quiet: Progress
) -> None:
    checkpoint = load_checkpoint(extended.out)
    again = replace(trained, out=tmp_path / "again.safetensors", config=split_config(checkpoint))
    with pytest.raises(TrainingError, match="classes that were added with --extend"):
        run_calibration(again, checkpoint, quiet)
