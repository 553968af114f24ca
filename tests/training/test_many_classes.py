"""A thousand classes of three photos each: the minimum per class, and as many classes as people have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whisker.model import Classifier, NetworkConfig
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress

CLASSES = 1000


@pytest.mark.slow
def test_a_thousand_classes_of_three_photos_train(tmp_path: Path, quiet: Progress) -> None:
    rng = np.random.default_rng(0)
    for number in range(CLASSES):
        folder = tmp_path / "photos" / f"class {number:04}"
        folder.mkdir(parents=True)
        for photo in range(3):
            coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))  # none is like another
            coarse.resize((32, 32)).save(folder / f"{photo}.png")
    network = NetworkConfig(width=2, depth=1, size=32)
    training = Training(
        tmp_path / "photos",
        tmp_path / "many.safetensors",
        TrainingConfig(recipe_for("quick", network, 1), network, dtype="float32"),
        device="cpu",
    )
    run_training(training, quiet)
    checkpoint = Classifier.load(training.out).checkpoint
    assert len(checkpoint.classes) == CLASSES
    assert [checkpoint.provenance["data"][split] for split in ("train", "validation", "test")] == [CLASSES] * 3
    assert len(checkpoint.metrics["test"]["confusion"]) == CLASSES
    assert training.report_file.stat().st_size < 10_000_000
