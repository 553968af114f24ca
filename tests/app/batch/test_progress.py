"""How far a run is, on a terminal and elsewhere."""

import pytest
from rich.console import Console

from whisker.app.batch import progress
from whisker.app.batch.progress import Progress


def test_plain_lines_have_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    total: list[int] = []
    with Progress(1000, lambda: total[0] if total else None) as shown:
        shown.show(1500)
        total.append(3000)
        shown.show(2000)
        total[0] = 10**12
        shown.show(2001)
    out, err = capsys.readouterr()
    first, second, third = err.splitlines()
    assert first.startswith("1,500 photos, ")
    assert second.startswith("2,000 of 3,000 photos, ")
    assert second.endswith(" s left")
    assert third.endswith(" min left")
    assert out == ""


def test_lines_are_rare(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(0, lambda: 3) as shown:
        for done in range(3):
            shown.show(done)
    assert capsys.readouterr().err == ""


def test_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    with Progress(10, lambda: 40) as shown:
        shown.show(20)
    err = capsys.readouterr().err
    assert "50%" in err
    assert "photos/s" in err
