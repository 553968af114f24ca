from pathlib import Path

import pytest

from tests.conftest import TINY
from tests.pictures import write_folder
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.job import Training


@pytest.fixture
def training(tmp_path: Path) -> Training:
    """Make a training of three short epochs on a small folder."""
    photos = write_folder(tmp_path / "photos", 20)
    config = TrainingConfig(recipe_for("quick", TINY, epochs=3), TINY, dtype="float32")
    return Training(photos, tmp_path / "out" / "shapes.safetensors", config, device="cpu", command="whisker train x")
