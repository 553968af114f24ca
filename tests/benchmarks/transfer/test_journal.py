from pathlib import Path

import pytest

from benchmarks.transfer.journal import Journal, Row
from benchmarks.transfer.table import write_table
from whisker.model.errors import ConfigError

ROW = Row("timm", 0, 0.75, 40, 100.0, 200.0, epochs=8, documented=30)


def test_journal_knows_what_is_done_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "results" / "journal.json"
    Journal.open(path, {"photos": 5}).add(ROW)
    journal = Journal.open(path, {"photos": 5})
    assert journal.rows == [ROW]
    assert journal.has("timm", 0)
    assert not journal.has("timm", 1)


def test_journal_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    Journal.open(path, {"photos": 5}).add(ROW)
    with pytest.raises(ConfigError, match="other photos or options"):
        Journal.open(path, {"photos": 6})


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_text("[1, 2")
    with pytest.raises(ConfigError, match="not a journal"):
        Journal.open(path, {})


def test_table_has_means_ranges_and_confident_answers_with_the_best_first() -> None:
    rows = [
        ROW,
        Row("timm", 1, 0.85, 40, 120.0, 240.0, epochs=10, documented=30),
        Row("whisker", 0, 0.9, 40, 150.0, 290.0, confident=20, confident_wrong=1),
    ]
    lines = write_table(rows, {"timm": "timm", "whisker": "Whisker"}).splitlines()
    assert lines[2:] == [
        "| Whisker | 90.0% | 150 | 290 | - | 50.0% | 1 of 20 (5.0%) |",
        "| timm | 80.0% (75.0% to 85.0%) | 110 | 220 | 8 to 10 of 30 | - | - |",
    ]
