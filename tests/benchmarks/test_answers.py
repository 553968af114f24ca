import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.answers import compare, describe, plain_probabilities
from tests.pictures import draw, encode
from whisker.model import Classifier
from whisker.training.job import Training

ROOT = Path(__file__).parents[2]


def test_engines_are_compared_photo_by_photo() -> None:
    fast = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]], np.float32)
    plain = np.array([[0.8, 0.2], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], np.float32)
    agreement = compare(fast, plain, np.array([0, 0, 1, 1]))
    assert (agreement.right_fast, agreement.right_plain, agreement.same_labels) == (2, 3, 3)
    assert agreement.points_apart == -25
    assert agreement.mean_difference == pytest.approx(0.075)
    assert agreement.largest_difference == pytest.approx(0.2)
    assert "Apart: -25.000 points (missed" in describe(agreement)


def test_plain_network_gives_the_calibrated_probabilities_of_float32(classifier: Classifier) -> None:
    pixels = [classifier.preprocessing.decode(encode(draw("rings", seed))) for seed in range(900, 903)]
    plain = plain_probabilities(classifier, pixels)
    assert plain.sum(1) == pytest.approx(1.0)
    assert plain == pytest.approx(classifier.scores(pixels).probabilities, abs=0.1)


def test_command_compares_a_checkpoint_with_itself(trained: Training) -> None:
    command = [sys.executable, "-m", "benchmarks.answers", str(trained.out), str(trained.photos)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    assert "Photos: 120" in done.stdout
    assert "Mean difference of probabilities" in done.stdout
