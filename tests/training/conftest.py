from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import TINY
from tests.once import make_once
from tests.pictures import write_folder
from tests.training.transfer.small import LITE, LITE_SHA256
from whisker.training.config import PRESETS, TrainingConfig, TransferRecipe, recipe_for
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress


@pytest.fixture
def training(tmp_path: Path) -> Training:
    """Make a training of three short epochs on a small folder."""
    photos = write_folder(tmp_path / "photos", 20)
    config = TrainingConfig(recipe_for("quick", TINY, epochs=3), TINY, dtype="float32")
    return Training(photos, tmp_path / "out" / "shapes.safetensors", config, device="cpu", command="whisker train x")


@pytest.fixture(scope="session")
def transferred(tmp_path_factory: pytest.TempPathFactory, quiet: Progress) -> Training:
    """Train a probe of 24 photos, cross-validated; `transferred.out` is its checkpoint. Treat its photos as given."""

    def training(folder: Path) -> Training:
        return Training(
            folder / "photos",
            folder / "shapes.safetensors",
            TrainingConfig(
                PRESETS["quick"],
                LITE,
                "transfer",
                pretrained=LITE_SHA256,
                transfer=TransferRecipe(fine_tuning=None),
            ),
            device="cpu",
            pretrained="lite0",
            command="whisker train photos",
        )

    def train(folder: Path) -> None:
        write_folder(folder / "photos", 12)
        run_training(training(folder), quiet)

    return training(make_once(tmp_path_factory, "transferred", train))


@pytest.fixture
def transfer(transferred: Training, tmp_path: Path) -> Training:
    """Make the same training, on photos and with caches of its own."""
    photos = write_folder(tmp_path / "photos", 12)
    return replace(transferred, photos=photos, out=tmp_path / "out" / "shapes.safetensors")
