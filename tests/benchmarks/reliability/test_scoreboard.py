import json
import math

import pytest

from benchmarks.reliability.scoreboard import Finding, Row, Scoreboard, percentile


@pytest.mark.parametrize(
    ("finding", "met"),
    [
        (Finding("", 2, "s", 2), True),
        (Finding("", 2.1, "s", 2), False),
        (Finding("", 90, "%", 90, "more"), True),
        (Finding("", 89, "%", 90, "more"), False),
        (Finding("", 403, "", 403, "same"), True),
        (Finding("", 200, "", 403, "same"), False),
        (Finding("", 7), True),
        (Finding("", math.nan, "s", 2), False),
        (Finding("", math.nan, "%", 90, "more"), False),
        (Finding("", math.inf, "s", 2), False),
    ],
)
def test_finding_meets_its_target_or_not(finding: Finding, *, met: bool) -> None:
    assert finding.met is met


def test_row_is_missed_by_one_finding_and_by_a_failure() -> None:
    good, bad = Finding("good", 1, "", 1), Finding("bad", 2, "", 1)
    assert Row("R1", "all well", [good], 1).met
    assert not Row("R1", "one bad", [good, bad], 1).met
    assert not Row("R1", "not run to its end", [good], 1, "The server ended.").met


def test_scoreboard_says_what_was_missed() -> None:
    rows = [
        Row("R1", "fine", [Finding("errors", 0, target=0)], 1),
        Row("R2", "not fine", [Finding("slowest", math.inf, "s", 2, detail="3 open")], 2, "The server ended."),
    ]
    board = Scoreboard("2026-01-01T00:00", {}, {}, rows)
    assert board.missed == ["R2"]
    text = str(board)
    assert "R1  fine: met" in text
    assert "errors: 0  (at most 0: met)" in text
    assert "! slowest: never  (at most 2: MISSED)  [3 open]" in text
    assert "! The server ended." in text
    assert text.endswith("Missed: R2.")


def test_json_holds_verdicts_and_no_infinity() -> None:
    row = Row("R7", "slow", [Finding("closed after", math.inf, "s", 15)], 2)
    document = json.loads(Scoreboard("now", {"Processor": "x"}, {"photos": 3}, [row]).to_json())
    assert document["rows"][0]["met"] is False
    assert document["rows"][0]["findings"][0] == {
        "what": "closed after",
        "value": None,
        "unit": "s",
        "target": 15,
        "better": "less",
        "detail": "",
        "met": False,
    }


def test_percentile_is_the_nearest_rank() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(range(1, 101), 99) == 99
    assert math.isnan(percentile([], 99))
