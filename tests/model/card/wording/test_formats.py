"""Figures are written so that nobody takes them for more than they are."""

import pytest

from tests.model.card.summaries import plain
from whisker.model.card.wording.formats import format_score, percent


@pytest.mark.parametrize(
    ("score", "written"),
    [
        (0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.5449, "54.5 %"),
        (0.995, "99.5 %"),
        (0.999, "99.9 %"),
        (0.99951, "> 99.9 %"),
        (1, "100 %"),
    ],
)
def test_score_that_is_not_certain_never_looks_certain(score: float, written: str) -> None:
    assert plain([format_score(score)]) == [written]


def test_percent_has_a_space_that_does_not_break() -> None:
    assert percent(0.9787) == "97.9\N{NO-BREAK SPACE}%"
    assert percent(1, 0) == "100\N{NO-BREAK SPACE}%"
