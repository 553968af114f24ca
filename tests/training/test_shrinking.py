"""A network learns to see in smaller pictures what it sees in larger ones."""

import io
import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from tests.once import make_once
from tests.pictures import CLASSES, draw, write_folder
from tests.test_whisker import run
from whisker.model import Checkpoint, Classifier, NetworkConfig, build_network, load_checkpoint
from whisker.model.errors import ConfigError
from whisker.model.preprocessing import Preprocessing
from whisker.training.calibration.calibrate import Targets
from whisker.training.config import TrainingConfig, recipe_for, training_size
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.fit.loop import Trainer
from whisker.training.fit.teachers import Lesson
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, run_training, split_config
from whisker.training.progress import Progress
from whisker.training.shrinking import Shrinkage, run_shrinking, teacher_size

LARGE = NetworkConfig(width=8, depth=1, size=48)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, quiet: Progress) -> Training:
    """Train a network that takes 48 px; `large.out` is its checkpoint."""

    def training(folder: Path) -> Training:
        config = TrainingConfig(recipe_for("quick", LARGE, epochs=16), LARGE, dtype="float32", seed=3)
        return Training(folder / "photos", folder / "large.safetensors", config, Targets(precision=0.5), device="cpu")

    def train(folder: Path) -> None:
        write_folder(folder / "photos", 60)
        run_training(training(folder), quiet)

    return training(make_once(tmp_path_factory, "large", train))


def wanted(size: int | None = None, epochs: int = 2) -> Shrinkage:
    return Shrinkage(size, epochs, 0.02, "float32")


def shrinking(large: Training, out: Path, *, size: int, epochs: int = 2) -> Training:
    return replace(large, out=out, config=wanted(size, epochs).config(load_checkpoint(large.out)))


@pytest.fixture(scope="module")
def small(large: Training, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Shrink `large` to 32 px; what was said is in `said.txt` beside the checkpoint."""

    def shrink(folder: Path) -> None:
        text = io.StringIO()
        training = shrinking(large, folder / "small.safetensors", size=32, epochs=6)
        run_shrinking(training, load_checkpoint(large.out), Progress(Console(file=text, width=1000)))
        (folder / "said.txt").write_text(text.getvalue())

    folder = make_once(tmp_path_factory, "small", shrink)
    return shrinking(large, folder / "small.safetensors", size=32, epochs=6)


def test_shrunk_network_is_as_good_in_smaller_pictures(large: Training, small: Training) -> None:
    before, after = load_checkpoint(large.out), load_checkpoint(small.out)
    assert (after.network, after.preprocessing.size) == (replace(LARGE, size=32), 32)
    assert after.metrics["test"]["accuracy"] >= before.metrics["test"]["accuracy"] - 0.1
    assert (after.provenance["pretrained"], after.provenance["method"]) == (before.sha256, "Shrunk from 48 px")
    assert after.provenance["pretrained_source"] == "Whisker checkpoint large"
    assert [tried["name"] for tried in after.provenance["candidates"]] == ["48 px", "32 px"]
    said = small.out.with_name("said.txt").read_text()
    assert "of the validation photos at 32 px, for" in said
    assert "44% of the pixels" in said
    assert Classifier.load(small.out).classes == before.classes
    assert "likelihood is no worse" not in small.report_file.read_text()  # nothing was chosen


def test_shrunk_checkpoint_can_be_calibrated(small: Training, tmp_path: Path, quiet: Progress) -> None:
    after = load_checkpoint(small.out)
    again = replace(small, out=tmp_path / "again.safetensors", config=split_config(after))
    assert run_calibration(again, after, quiet).photos == after.metrics["test"]["photos"]


def features(checkpoint: Checkpoint, size: int) -> Tensor:
    """Compute features of photos that no training has seen, at a size."""
    network = build_network(replace(LARGE, size=size), len(checkpoint.classes))
    network.load_state_dict(dict(checkpoint.state))
    photos = [draw(label, seed, (48, 40)).convert("RGB") for label in CLASSES for seed in range(900, 920)]
    scaled = np.stack([np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR)) for photo in photos])
    with torch.no_grad():
        return network.eval().embed(torch.from_numpy(scaled).permute(0, 3, 1, 2).float() / 255)


def test_shrinking_brings_features_nearer_to_those_of_larger_pictures(large: Training, small: Training) -> None:
    before, after = load_checkpoint(large.out), load_checkpoint(small.out)
    larger = features(before, 48)
    untaught, taught = (float((features(it, 32) - larger).square().mean()) for it in (before, after))
    assert taught < untaught


def test_size_is_five_sixths_unless_given(large: Training) -> None:
    source = load_checkpoint(large.out)
    assert wanted().config(source).network.size == 40
    assert wanted(size=32, epochs=3).config(source).recipe.stages[0].epochs == 3


@pytest.mark.parametrize("size", [48, 64])
def test_size_that_is_no_smaller_is_refused(large: Training, size: int) -> None:
    with pytest.raises(TrainingError, match=f"takes 48 px already, which is not more than {size}: give a smaller"):
        wanted(size).config(load_checkpoint(large.out))


@pytest.mark.parametrize("size", [0, 31])
def test_size_that_no_network_takes_is_refused(large: Training, size: int) -> None:
    with pytest.raises(ConfigError, match="size is 32 to 512 pixels"):
        wanted(size).config(load_checkpoint(large.out))


@pytest.mark.parametrize(("before", "size", "student", "teacher"), [(152, 128, 112, 132), (96, 80, 72, 88)])
def test_teacher_sees_as_much_larger_crops_as_its_pictures_are(
    untrained: Checkpoint, before: int, size: int, student: int, teacher: int
) -> None:
    network = replace(LARGE, size=before)
    config = wanted(size).config(replace(untrained, network=network, preprocessing=Preprocessing(before)))
    assert training_size(config.recipe.stages[0], size) == student
    assert teacher_size(config, network) == teacher


def test_network_that_has_one_size_only_is_refused(untrained: Checkpoint) -> None:
    network = NetworkConfig(family="mlp", width=4, depth=1, size=48)
    with pytest.raises(TrainingError, match="has weights for each pixel"):
        wanted(size=32).config(replace(untrained, network=network))


def test_transferred_network_is_refused(transferred: Training) -> None:
    with pytest.raises(TrainingError, match="train again with a smaller --size"):
        wanted().config(load_checkpoint(transferred.out))


def test_several_labels_are_refused(several: Checkpoint) -> None:
    with pytest.raises(TrainingError, match="with one label a photo"):
        wanted(size=24).config(several)


def test_interrupted_shrinking_is_resumed(
    large: Training, tmp_path: Path, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, training = load_checkpoint(large.out), shrinking(large, tmp_path / "small.safetensors", size=32, epochs=2)
    original, steps = Trainer.step, list[int]()

    def step(trainer: Trainer, x: Tensor, lesson: Lesson) -> float:
        steps.append(trainer.state.step)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGTERM)
        return original(trainer, x, lesson)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(TrainingInterruptedError):
        run_shrinking(training, source, quiet)
    with pytest.raises(TrainingError, match="go on with --resume"):
        run_shrinking(training, source, quiet)
    other = wanted(40).config(source)
    with pytest.raises(TrainingError, match="had other photos or options"):
        run_shrinking(replace(training, config=other, resume=True), source, quiet)
    run_shrinking(replace(training, resume=True), source, quiet)
    assert steps == list(range(len(steps)))
    assert training.out.exists()
    assert not training.state_file.exists()


def test_command_shrinks_a_checkpoint(
    large: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("shrink", large.out, large.photos, "--size", 32, "--epochs", 1, "--dtype", "float32", "--precision", 0.5)
    code, out, err = run(monkeypatch, capsys, *words, "--device", "cpu", "--out", "small.safetensors", "--json")
    assert code == 0, err
    assert json.loads(out)["checkpoint"].endswith("small.safetensors")
    after = load_checkpoint(tmp_path / "small.safetensors")
    assert after.network == replace(LARGE, size=32)
    assert after.provenance["command"].startswith("whisker shrink ")


def test_other_photos_are_refused(large: Training, tmp_path: Path, quiet: Progress) -> None:
    training = shrinking(large, tmp_path / "small.safetensors", size=32)
    training = replace(training, photos=write_folder(tmp_path / "photos", 20))
    with pytest.raises(TrainingError, match="does not hold exactly the photos"):
        run_shrinking(training, load_checkpoint(large.out), quiet)
    assert not training.out.exists()
