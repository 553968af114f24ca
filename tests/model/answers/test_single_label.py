"""Answers with exactly one class: the verdict that a threshold decides, and the reason for an unsure one."""

import numpy as np
import pytest

from whisker.model.answers.decision_rule import Scores
from whisker.model.answers.single_label import LOW_SCORE, NOT_SHOWN, SingleLabelRule

CLASSES = ("cat", "dog")
SCORES = Scores(np.array([[0.95, 0.05], [0.3, 0.7]], np.float32), None)


def test_score_below_the_threshold_is_unsure_and_says_why() -> None:
    sure, unsure = SingleLabelRule(CLASSES, 1.0, None, unsure=0.9).predictions(SCORES)
    assert (sure.label, sure.verdict, sure.reason) == ("cat", "confident", "")
    assert (unsure.label, unsure.verdict, unsure.reason) == ("dog", "unsure", LOW_SCORE)


@pytest.mark.parametrize("unsure", [0.0, 0.9])
def test_no_answer_is_confident_if_photos_have_not_shown_its_precision(unsure: float) -> None:
    for answer in SingleLabelRule(CLASSES, 1.0, None, unsure, shown=False).predictions(SCORES):
        assert (answer.verdict, answer.reason) == ("unsure", NOT_SHOWN)
