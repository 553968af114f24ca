"""A student learns to answer as a transferred network does, and takes its place if it loses little."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.pictures import write_folder
from whisker.model import Classifier, NetworkConfig, load_checkpoint
from whisker.model.errors import ConfigError
from whisker.training.calibration.calibrate import Targets
from whisker.training.cli.options.training import NetworkOptions, TrainingOptions
from whisker.training.config import TrainingConfig, TransferRecipe, recipe_for
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.pretrained.installed import INSTALLED
from whisker.training.progress import Progress

STUDENT = NetworkConfig(width=8, depth=1, size=32)
TEACHER = NetworkConfig.published("lite0", 64)


def distil(root: Path, *, epochs: int) -> tuple[Training, str]:
    config = TrainingConfig(
        recipe_for("quick", STUDENT, epochs),
        TEACHER,
        dtype="float32",
        pretrained=INSTALLED["lite0"].sha256,
        validation=0.2,
        test=0.2,
        transfer=TransferRecipe(fine_tuning=None, cross_validated=False),
        student=STUDENT,
    )
    photos = write_folder(root / "photos", 60)
    training = Training(
        photos, root / "shapes.safetensors", config, Targets(precision=0.5), device="cpu", pretrained="lite0"
    )
    text = io.StringIO()
    run_training(training, Progress(Console(file=text, width=1000)))
    return training, text.getvalue()


def test_student_that_loses_little_is_kept(tmp_path: Path) -> None:
    training, said = distil(tmp_path, epochs=25)
    assert "kept the student." in said
    checkpoint = load_checkpoint(training.out)
    assert checkpoint.network == STUDENT
    assert checkpoint.provenance["method"] == "Distilled from efficientnet-lite lite0"
    assert checkpoint.provenance["pretrained"] == ""  # of the student's own weights, which were random
    names = [tried["name"] for tried in checkpoint.provenance["candidates"]]
    assert names == ["Linear probe", "Teacher", "Student"]
    assert checkpoint.metrics["test"]["accuracy"] >= 0.9
    assert Classifier.load(training.out).classes == ("rings", "stripes")


def test_student_that_loses_much_gives_way_to_its_teacher(tmp_path: Path) -> None:
    training, said = distil(tmp_path, epochs=1)
    assert "kept the teacher." in said
    checkpoint = load_checkpoint(training.out)
    assert checkpoint.network == TEACHER
    assert checkpoint.metrics["test"]["accuracy"] >= 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": None}, "--student needs photos that are set aside"),
        ({"pretrained": "none"}, "--student is taught by a network that starts from ImageNet weights"),
        ({"minutes": 5.0}, "--minutes does not limit a --student"),
        ({"student": "lite0"}, "--student is random, or a Whisker checkpoint"),
        ({"multi_label": True}, "--student is for trainings with one label a photo"),
    ],
)
def test_student_without_what_it_needs_is_refused(
    tmp_path: Path, quiet: Progress, changes: dict[str, Any], message: str
) -> None:
    photos = write_folder(tmp_path / "photos", 3)
    options = TrainingOptions(photos, NetworkOptions(), student="random", test=0.2)
    with pytest.raises(ConfigError, match=message):
        replace(options, **changes).choose_config(None, quiet)


def test_recipe_of_a_student_can_be_chosen(tmp_path: Path, quiet: Progress) -> None:
    photos = write_folder(tmp_path / "photos", 3)
    options = TrainingOptions(photos, NetworkOptions(), student="random", test=0.2, preset="standard", epochs=7)
    config = options.choose_config(None, quiet)
    assert config.student is not None
    assert config.recipe == recipe_for("standard", config.student, 7)
    assert (config.network.family, config.preset) == ("efficientnet-lite", "standard")
