from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import TINY
from whisker.model import Classifier, NetworkConfig, load_checkpoint
from whisker.model.errors import ConfigError, WhiskerError
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.fit.loop import Trainer
from whisker.training.fit.teachers import Lesson
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress


def test_trained_checkpoint_is_good_and_says_how_it_was_made(trained: Training) -> None:
    checkpoint = load_checkpoint(trained.out)
    assert checkpoint.name == "shapes"
    assert checkpoint.classes == ("rings", "stripes")
    assert checkpoint.metrics["test"]["accuracy"] >= 0.8
    assert checkpoint.metrics["test"]["photos"] == 12
    low, high = checkpoint.metrics["test"]["accuracy_95_interval"]
    assert low < checkpoint.metrics["test"]["accuracy"] <= high
    assert checkpoint.provenance["data"]["photos"] == {"rings": 60, "stripes": 60}
    assert checkpoint.provenance["data"]["train"] == 96
    assert checkpoint.provenance["command"] == "whisker train shapes"
    assert set(checkpoint.provenance["libraries"]) == {"torch", "pillow", "numpy", "safetensors", "whisker"}
    assert 0.05 <= checkpoint.temperature <= 20


def test_checkpoint_holds_no_training_photo(trained: Training, photo_folder: Path) -> None:
    content = trained.out.read_bytes()
    assert not any(path.read_bytes()[40:140] in content for path in photo_folder.rglob("*.png"))


def test_provenance_says_how_to_repeat_it(trained: Training) -> None:
    provenance = load_checkpoint(trained.out).provenance
    assert provenance["shares"] == {"validation": 0.1, "test": 0.1}
    assert provenance["split_seed"] == 0
    assert [epoch["epoch"] for epoch in provenance["history"]] == list(range(1, 17))
    assert {epoch["size"] for epoch in provenance["history"]} == {32}
    assert provenance["history"][-1]["loss"] < provenance["history"][0]["loss"]
    assert provenance["noticed"] == {"quarantined": [], "conflicts": []}
    assert provenance["recipe"]["balance"] == 0.5


def test_report_is_a_page_with_the_figures(trained: Training) -> None:
    assert trained.report_file == trained.out.with_suffix(".html")
    report = trained.report_file.read_text()
    assert report.startswith("<!doctype html>")
    checkpoint = load_checkpoint(trained.out)
    for text in (
        "<h1>shapes</h1>",
        "whisker train shapes",
        f"{checkpoint.metrics['test']['accuracy']:.1%}".removesuffix("%"),
        "<dt>rings</dt><dd>60</dd>",
        "<dd>96 photos</dd>",
        "16 epochs",
        checkpoint.sha256,
    ):
        assert text in report


def test_finished_training_leaves_no_state(trained: Training) -> None:
    assert not trained.state_file.exists()
    assert trained.work.is_dir()


@pytest.mark.parametrize("suffix", [".safetensors", ".html"])
def test_existing_file_is_not_replaced_unasked(training: Training, quiet: Progress, suffix: str) -> None:
    existing = training.out.with_suffix(suffix)
    existing.parent.mkdir()
    existing.write_text("precious")
    with pytest.raises(TrainingError, match=r"exists: choose another name with --out, or replace it with --overwrite"):
        run_training(training, quiet)
    assert existing.read_text() == "precious"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"out": "shapes.html"}, "ends in .safetensors"),
        ({"out": "shapes-0.1"}, "ends in .safetensors"),
        ({"out": "photos/shapes.safetensors"}, "among the photos"),
        ({"out": "photos/rings/shapes.safetensors"}, "among the photos"),
    ],
)
def test_place_or_option_that_would_do_harm_is_refused(
    training: Training, quiet: Progress, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if "out" in changes:
        changes = {"out": tmp_path / changes["out"]}
    with pytest.raises(ConfigError, match=message):
        run_training(replace(training, **changes), quiet)


def test_training_goes_on_from_pretrained_weights(trained: Training, training: Training, quiet: Progress) -> None:
    recipe = recipe_for("quick", TINY, 1, learning_rate=1e-6)  # next to nothing is learned on top
    config = replace(training.config, recipe=recipe, pretrained="its hash")
    run_training(replace(training, config=config, pretrained=str(trained.out)), quiet)
    checkpoint = load_checkpoint(training.out)
    assert checkpoint.provenance["pretrained"] == "its hash"
    before, after = load_file(trained.out)["fc.weight"], checkpoint.state["fc.weight"]
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)


def test_pretrained_weights_that_do_not_fit_are_refused(trained: Training, training: Training, quiet: Progress) -> None:
    network = NetworkConfig("mlp", width=8, depth=1, size=32, channels=1)
    config = replace(training.config, network=network)
    with pytest.raises(TrainingError, match="No weights of the --pretrained file fit this network"):
        run_training(replace(training, config=config, pretrained=str(trained.out)), quiet)


def test_unreadable_files_and_duplicates_are_reported(training: Training, quiet: Progress) -> None:
    (training.photos / "rings" / "broken.jpg").write_text("hello")
    first = training.photos / "rings" / "000.png"
    (training.photos / "stripes" / "same.png").write_bytes(first.read_bytes())
    run_training(training, quiet)
    provenance = load_checkpoint(training.out).provenance
    assert provenance["data"]["quarantined"] == 1
    assert provenance["data"]["duplicates"] >= 1
    ((path, reason),) = provenance["noticed"]["quarantined"]
    assert (path, reason[:22]) == ("rings/broken.jpg", "The file is not a JPEG")
    assert provenance["noticed"]["conflicts"] == [["rings/000.png", "stripes/same.png"]]
    report = training.report_file.read_text()
    assert "<code>rings/broken.jpg</code>: The file is not a JPEG" in report
    assert "<code>rings/000.png</code> = <code>stripes/same.png</code>" in report
    assert (training.photos / "rings" / "broken.jpg").exists()


def test_class_without_a_readable_picture_is_refused(training: Training, quiet: Progress) -> None:
    for path in (training.photos / "rings").iterdir():
        path.write_text("hello")
    with pytest.raises(DatasetError, match=r"'rings' in .* holds no readable picture: rings/000.png, for one, is"):
        run_training(training, quiet)


def test_every_family_and_activation_trains(training: Training, quiet: Progress) -> None:
    for family, activation, channels in [("mlp", "relu", 1), ("cnn", "sigmoid", 3), ("resnet", "sigmoid", 1)]:
        network = NetworkConfig(family, activation, 4, 1, channels, 32)  # type: ignore[arg-type]
        config = TrainingConfig(recipe_for("quick", network, 1), network, dtype="float32")
        out = training.out.with_stem(f"{family}-{activation}")
        run_training(replace(training, out=out, config=config), quiet)
        assert load_checkpoint(out).network == network


def test_diverging_training_says_so(training: Training, quiet: Progress) -> None:
    recipe = replace(training.config.recipe, peak_learning_rate=1e30, warmup=0.0)
    with pytest.raises(TrainingError, match="diverged in step"):
        run_training(replace(training, config=replace(training.config, recipe=recipe)), quiet)


def test_bad_bfloat16_gradients_fall_back_to_float32(
    training: Training, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's emulated bfloat16 has given NaN for some shapes: one such step must not end a long training."""
    original = Trainer.backward

    def poisoned(trainer: Trainer, x: torch.Tensor, lesson: Lesson) -> float:
        loss = original(trainer, x, lesson)
        if trainer.state.bf16:
            next(iter(trainer.state.network.parameters())).grad.fill_(float("nan"))  # type: ignore[union-attr]
        return loss

    monkeypatch.setattr(Trainer, "backward", poisoned)
    run_training(replace(training, config=replace(training.config, dtype="bfloat16")), quiet)
    assert load_checkpoint(training.out).provenance["precision"] == "float32"


def test_folder_that_cannot_be_written_is_one_sentence(training: Training, quiet: Progress) -> None:
    blocker = training.out.parent
    blocker.write_text("a file where the folder belongs")
    with pytest.raises(WhiskerError, match="cannot be written"):
        run_training(training, quiet)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_runs_on_cuda(training: Training, quiet: Progress) -> None:
    run_training(replace(training, device="cuda"), quiet)
    assert Classifier.load(training.out).classes == ("rings", "stripes")
