from pathlib import Path

import pytest

from benchmarks.train import Step, describe, measure, short_recipe, weights
from tests.conftest import TINY
from tests.pictures import write_folder
from whisker.model.errors import ConfigError
from whisker.training.config import PRESETS, TrainingConfig


def test_steps_of_a_real_training_are_timed_at_each_size(photo_folder: Path, tmp_path: Path) -> None:
    config = TrainingConfig(short_recipe(PRESETS["quick"]), TINY, dtype="float32")
    steps = measure(photo_folder, config, 16, tmp_path)
    sizes = list(weights(PRESETS["quick"], TINY.size))
    assert [step.size for step in steps] == [size for size in sizes for _ in range(len(steps) // len(sizes))]
    assert all(0 < step.network_seconds < step.seconds for step in steps)
    assert "photos/s" in describe(steps, weights(PRESETS["quick"], TINY.size))


def test_too_few_photos_is_one_sentence(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "few", 12)
    with pytest.raises(ConfigError, match="holds too few photos"):
        measure(root, TrainingConfig(short_recipe(PRESETS["quick"]), TINY, dtype="float32"), 16, tmp_path / "work")


def test_share_outside_is_weighed_by_the_epochs_at_each_size() -> None:
    steps = [Step(64, 8, 1.0, 0.9), Step(128, 8, 4.0, 3.8)]
    text = describe(steps, {64: 2, 128: 1})
    assert "64 px: 8 photos/s, 10.0 % of a step outside" in text
    assert "128 px: 2 photos/s, 5.0 % of a step outside" in text
    assert "All sizes, by their epochs: 4 photos/s, 6.7 % outside (goal" in text
