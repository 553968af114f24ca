"""Counts of verdicts, where each photo is answered once or in several repeats."""

import numpy as np
import pytest

from whisker.model.answers.decision_rule import Scores, Verdict
from whisker.model.card.metrics import ConfidentMetrics
from whisker.training.calibration.measurement import count_confident, count_unknown

PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]], np.float32)
LABELS = np.array([0, 1, 0, 1])
VERDICTS: list[Verdict] = ["confident", "confident", "unsure", "unknown"]


@pytest.mark.parametrize("repeats", [1, 3])
def test_confident_answers_are_counted_once_a_photo(repeats: int) -> None:
    scores = Scores(np.tile(PROBABILITIES, (repeats, 1)), None)
    counted = count_confident(VERDICTS * repeats, scores, np.tile(LABELS, repeats), repeats=repeats)
    assert (counted.answers, counted.of, counted.wrong) == (2, 4, 1)
    assert counted.error_95_interval is not None
    assert counted.error_95_interval[0] < 0.5 < counted.error_95_interval[1]


def test_error_in_one_repeat_of_many_is_not_rounded_away() -> None:
    scores = Scores(np.tile(PROBABILITIES[1:2], (4, 1)), None)
    verdicts: list[Verdict] = ["confident", "unsure", "unsure", "unsure"]
    counted = count_confident(verdicts, scores, np.ones(4, np.int64), repeats=4)
    assert (counted.answers, counted.of, counted.wrong) == (1, 1, 1)


def test_without_confident_answers_their_error_is_open() -> None:
    counted = count_confident(["unsure"] * 4, Scores(PROBABILITIES, None), LABELS)
    assert counted == ConfidentMetrics(0, 4, 0, (0.0, 1.0))


def test_unknown_answers_are_counted_among_known_and_unrelated_photos() -> None:
    known, others = np.array([0.1, 0.2, 0.9], np.float32), np.array([0.9, 0.8], np.float32)
    counted = count_unknown(known, others)
    assert (counted.false_alarms, counted.of) == (1, 3)
    assert counted.outliers is not None
    assert (counted.outliers.caught, counted.outliers.of) == (2, 2)
    assert count_unknown(known, None).outliers is None
