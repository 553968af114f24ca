"""Calibration and the one test: what a checkpoint guarantees, what was measured, and that both are the file's own."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from tests.conftest import TINY
from tests.pictures import draw, encode, write_folder
from whisker.model import Classifier, load_checkpoint
from whisker.model.answers.decision_rule import Scores
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.networks.build import count_multiply_adds
from whisker.training.calibration.calibrate import Targets
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.data.dataset import batched
from whisker.training.data.preparation import prepare_dataset
from whisker.training.job import Training
from whisker.training.pipeline import run_training, split_config
from whisker.training.progress import Progress

REACHABLE = Targets(precision=0.9, false_alarms=0.1)  # what some ninety validation photos can show


@dataclass(frozen=True)
class Result:
    """A training that is done, and what it said."""

    training: Training
    said: str
    metrics: dict[str, Any]


def other_picture(seed: int) -> Image.Image:
    """Draw neither rings nor stripes, but flat areas in two colours."""
    rng = np.random.default_rng((9, seed))
    image = Image.new("RGB", (48, 40), tuple(rng.integers(0, 255, 3).tolist()))
    left, top = rng.integers(0, 30, 2).tolist()
    image.paste(tuple(rng.integers(0, 255, 3).tolist()), (left, top, left + 15, top + 10))
    return image


def write_outliers(root: Path, photos: int) -> Path:
    for seed in range(photos):
        (root / f"kind {seed % 6}").mkdir(parents=True, exist_ok=True)
        other_picture(seed).save(root / f"kind {seed % 6}" / f"{seed}.png")
    return root


def train(root: Path, start: Path, *, photos: int, outliers: int, targets: Targets, held_out: float) -> Result:
    """Train next to nothing on top of a trained checkpoint, so that all that matters is what comes after."""
    config = TrainingConfig(
        recipe_for("quick", TINY, 1, learning_rate=1e-6), TINY, dtype="float32", validation=held_out, test=held_out
    )
    training = Training(
        write_folder(root / "photos", photos),
        root / "shapes.safetensors",
        config,
        targets=targets,
        device="cpu",
        outliers=write_outliers(root / "outliers", outliers),
        pretrained=str(start),
    )
    text = io.StringIO()
    run_training(training, Progress(Console(file=text, width=1000)))
    return Result(training, text.getvalue(), dict(load_checkpoint(training.out).metrics))


@pytest.fixture(scope="module")
def plenty(trained: Training, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(
        tmp_path_factory.mktemp("plenty"), trained.out, photos=150, outliers=90, targets=REACHABLE, held_out=0.3
    )


@pytest.fixture(scope="module")
def few(trained: Training, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(tmp_path_factory.mktemp("few"), trained.out, photos=20, outliers=10, targets=Targets(), held_out=0.1)


def score_test_split(training: Training, quiet: Progress) -> tuple[Scores, NDArray[np.int64]]:
    """Score the test split anew, from the files alone, by the engine that the figures are measured with."""
    classifier = Classifier.load(training.out, engine="torch")
    test = prepare_dataset(training.photos, split_config(classifier.checkpoint), training.work, quiet).test
    parts = [classifier.scores([test.pixels[row] for row in rows]) for rows in batched(test.rows, 32)]
    unknown = [part.unknown for part in parts if part.unknown is not None]
    return Scores(np.concatenate([part.probabilities for part in parts]), np.concatenate(unknown)), test.labels


def test_with_enough_photos_every_target_is_guaranteed(plenty: Result) -> None:
    assert "Warning" not in plenty.said
    confident, unknown = plenty.metrics["confident"], plenty.metrics["unknown"]
    assert (confident["promised"], confident["promised_precision"]) == (True, 0.9)
    assert (unknown["promised"], unknown["promised_rate"]) == (True, 0.1)


def test_with_enough_photos_the_targets_are_met_on_the_test_split(plenty: Result) -> None:
    confident, unknown = plenty.metrics["confident"], plenty.metrics["unknown"]
    assert confident["of"] == unknown["of"] == 90
    assert confident["answers"] > 60
    assert confident["wrong"] <= 0.1 * confident["answers"]
    assert unknown["false_alarms"] <= 0.1 * 90 + 3  # a rate of 10 % of 90 photos exceeds this once in six thousand
    low, high = unknown["rate_95_interval"]
    assert low <= unknown["false_alarms"] / 90 <= high


def test_unrelated_photos_are_mostly_flagged(plenty: Result) -> None:
    outliers = plenty.metrics["unknown"]["outliers"]
    assert outliers["of"] == 90
    assert outliers["caught"] > 60
    low, high = outliers["share_95_interval"]
    assert 0.6 < low < outliers["caught"] / 90 <= high


def test_served_verdicts_meet_the_targets_on_fresh_pictures(plenty: Result) -> None:
    classifier = Classifier.load(plenty.training.out)
    known = classifier.predict([encode(draw(label, seed)) for label in classifier.classes for seed in range(700, 800)])
    others = classifier.predict([encode(other_picture(seed)) for seed in range(700, 800)])
    assert sum(answer.verdict == "unknown" for answer in known) <= 0.1 * 200 + 13
    assert sum(answer.verdict == "confident" for answer in known) > 120
    assert sum(answer.verdict == "unknown" for answer in others) > 60


def test_metrics_are_those_of_the_written_file(plenty: Result, quiet: Progress) -> None:
    scores, labels = score_test_split(plenty.training, quiet)
    checkpoint = load_checkpoint(plenty.training.out)
    assert scores.unknown is not None
    known = scores.unknown <= UNKNOWN_SCORE
    confident = known & (scores.probabilities.max(1) >= checkpoint.thresholds.unsure)
    wrong = scores.probabilities.argmax(1) != labels
    assert plenty.metrics["unknown"]["false_alarms"] == (~known).sum()
    assert plenty.metrics["confident"]["answers"] == confident.sum()
    assert plenty.metrics["confident"]["wrong"] == (confident & wrong).sum()
    assert plenty.metrics["test"]["accuracy"] == pytest.approx(1 - wrong.mean(), abs=1e-4)


def test_figures_and_speed_are_kept_for_the_report(plenty: Result) -> None:
    figures, speed = plenty.metrics["figures"], plenty.metrics["speed"]
    assert sum(bin_["photos"] for bin_ in figures["reliability"]) == 90
    assert sum(figures["unknown"]["known"]) == sum(figures["unknown"]["outliers"]) == 90
    assert [row["photos"] for row in figures["per_class"]] == [45, 45]
    assert speed["multiply_adds"] == count_multiply_adds(TINY, 2)
    assert speed["milliseconds_per_photo"] > 0
    assert speed["threads"] == torch.get_num_threads()
    assert speed["processor"]


def test_with_few_photos_each_missing_guarantee_is_said_aloud(few: Result) -> None:
    warnings = [line for line in few.said.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 3
    assert "the photos did not show that 99.0% of confident answers are right, so no answer will be" in warnings[0]
    assert "too few photos to show that at most 5.0% of known photos are called unknown" in warnings[1]
    assert "10 unrelated photos are too few to learn from (at least 50)" in warnings[2]
    assert not few.metrics["confident"]["promised"]
    assert not few.metrics["unknown"]["promised"]
    assert few.metrics["unknown"]["outliers"]["of"] == 10


def test_without_outliers_unknown_is_fitted_all_the_same(trained: Training) -> None:
    checkpoint = load_checkpoint(trained.out)
    assert checkpoint.novelty is not None
    assert not checkpoint.novelty.direction.any()
    assert checkpoint.metrics["unknown"]["outliers"] is None
    assert checkpoint.metrics["figures"]["unknown"]["outliers"] is None
