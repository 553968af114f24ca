import io

import pytest
from rich.console import Console

from whisker.training.progress import Progress, duration


def lines(*, terminal: bool, line_seconds: float = 20.0) -> str:
    buffer = io.StringIO()
    progress = Progress(Console(file=buffer, force_terminal=terminal, width=120), line_seconds=line_seconds)
    progress.say("Hello [not markup]")
    with progress.task("Decoding", 10) as task:
        for _ in range(5):
            task.advance(2)
    return buffer.getvalue()


def test_plain_lines_have_rate_and_time_left() -> None:
    text = lines(terminal=False, line_seconds=0.0)
    assert text.startswith("Hello [not markup]\nDecoding: 20%, ")
    assert text.count("photos/s, ") == 5
    assert text.endswith("0 s left\n")
    assert "\x1b" not in text


def test_plain_lines_are_few() -> None:
    assert lines(terminal=False).count("Decoding") == 1  # the last


def test_terminal_shows_a_bar() -> None:
    text = lines(terminal=True)
    assert "\x1b" in text
    assert "photos/s" in text
    assert "100" in text


def test_task_without_work_is_done() -> None:
    for terminal in (False, True):
        with Progress(Console(file=io.StringIO(), force_terminal=terminal)).task("Nothing", 0) as task:
            assert task.done == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1 h 30 min"), (3900 * 2, "2 h 10 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_line_holds_nothing_that_a_terminal_obeys() -> None:
    output = io.StringIO()
    Progress(Console(file=output, force_terminal=True, soft_wrap=True)).say("left out \x1b[2Jcat:dog:\n.jpg, 95\u00a0%")
    assert output.getvalue() == "left out \\x1b[2Jcat:dog:\\n.jpg, 95\u00a0%\n"
