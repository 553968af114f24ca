"""Answers of single-label checkpoints: why one is not confident."""

import numpy as np
import pytest

from whisker.model.answers.decision_rule import Scores
from whisker.model.answers.single_label import LOW_SCORE, NOT_SHOWN, UNLIKE, SingleLabelRule

_SCORES = Scores(np.array([[0.95, 0.05], [0.4, 0.6], [0.95, 0.05]], np.float32), np.array([0.1, 0.1, 0.9], np.float32))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (True, [("confident", ""), ("unsure", LOW_SCORE), ("unknown", UNLIKE)]),
        (False, [("unsure", NOT_SHOWN), ("unsure", NOT_SHOWN), ("unknown", UNLIKE)]),
    ],
)
def test_reason_is_given_unless_the_answer_is_confident(*, shown: bool, expected: list[tuple[str, str]]) -> None:
    rule = SingleLabelRule(("cat", "dog"), 1.0, None, unsure=0.9, shown=shown)
    assert [(it.verdict, it.reason) for it in rule.predictions(_SCORES)] == expected
