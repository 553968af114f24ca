"""Logs: one JSON object a line for machines, one readable line for people."""

import io
import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.app.conftest import Serving
from whisker.app.log_writer import MAX_LINES, SUMMARY_SECONDS, LineLimit
from whisker.app.logs import JsonFormatter, TextFormatter, configure_logging, take_dropped_lines
from whisker.app.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # kept from `basicConfig`, which would close them
    yield
    root.handlers, root.level = handlers, level


@pytest.mark.anyio
async def test_a_request_is_one_json_line(serving: Serving, settings: Settings) -> None:
    stream = io.StringIO()
    async with serving() as client:
        configure_logging(settings, stream)
        await client.get("/nowhere%0Aelse", headers={"X-Request-ID": "mine"})
        lines = _records(stream)
    (line,) = [line for line in lines if line["logger"] == "whisker.app.web.access_log"]
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert 0 < line.pop("duration_ms") < 60_000
    assert line == {
        "level": "info",
        "logger": "whisker.app.web.access_log",
        "message": "request",
        "method": "GET",
        "path": "/nowhere%0Aelse",
        "status": 404,
        "code": "not_found",
        "request_id": "mine",
    }


@pytest.mark.anyio
async def test_start_tells_what_serves(serving: Serving, settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings, stream)
    async with serving():
        pass
    (line,) = [line for line in _records(stream) if line["logger"] == "whisker.app.repository.models"]
    assert (line["checkpoint"], line["device"], line["inference_workers"], line["max_batch"]) == ("tiny", "cpu", 1, 4)


def test_an_exception_stays_on_its_json_line() -> None:
    line = json.loads(JsonFormatter().format(_failure()))
    assert line["message"] == "It failed at 3"
    assert line["exception"] == "ValueError: why"


def test_text_is_for_reading() -> None:
    record = logging.LogRecord("whisker.app.web.access_log", logging.INFO, "", 0, "request", (), None)
    record.status = 200
    line = TextFormatter().format(record)
    assert line.endswith(" info    request status=200")
    assert "\nValueError: why" in TextFormatter().format(_failure())


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_format_follows_setting_and_stream(
    settings: Settings, log_format: str, stream: io.StringIO, *, is_json: bool
) -> None:
    configure_logging(settings.model_copy(update={"log_format": log_format}), stream)
    logging.getLogger("uvicorn.error").warning("hello")
    flush()
    assert stream.getvalue().startswith("{") is is_json
    assert "hello" in stream.getvalue()


def test_every_line_of_a_worker_names_it(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings, stream, http_worker=17)
    logging.getLogger("uvicorn.error").warning("hello")
    assert [line["worker"] for line in _records(stream)] == [17]


def test_level_silences_what_is_less_severe(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings.model_copy(update={"log_level": "warning"}), stream)
    logging.getLogger("whisker.app.web.access_log").info("request")
    flush()
    assert stream.getvalue() == ""


def test_log_that_nobody_reads_stops_nobody(settings: Settings) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as end, os.fdopen(writing, "w") as stream:
        configure_logging(settings, stream)
        for number in range(3_000):  # far more than the pipe and the queue hold
            logging.getLogger("whisker").info(f"{number} {'x' * 100}")  # noqa: G004 - each a kind of its own
        dropped = take_dropped_lines()
        assert 500 < dropped < 3_000
        assert take_dropped_lines() == 0
        told = next(line for line in map(json.loads, end) if "lines" in line)
        assert (told["message"], told["lines"]) == ("Lines were dropped, since the log was not read", dropped)


def test_log_on_a_stream_that_fails_is_counted(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings, stream)
    stream.close()
    logging.getLogger("whisker").warning("hello")
    flush()
    assert take_dropped_lines() == 1


def test_lines_of_a_kind_are_summed_up(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings, stream, http_worker=17)
    for number in range(1_000):
        extra = {"status": 404, "code": "not_found", "path": f"/{number}"}
        logging.getLogger("whisker.app.web.access_log").info("request", extra=extra)
    logging.getLogger("whisker").info("something else")
    *lines, last = _records(stream)
    assert [line["message"] for line in lines] == ["request"] * MAX_LINES + ["something else"]
    assert (last["lines"], last["like"], last["code"]) == (1_000 - MAX_LINES, "request", "not_found")


def test_lines_about_answers_are_all_there(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings, stream)
    for _ in range(50):
        logging.getLogger("whisker.app.web.access_log").info("request", extra={"status": 200})
    assert len(_records(stream)) == 50


def test_summary_does_not_wait_for_another_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("whisker.app.log_writer.time.monotonic", lambda: now)
    limit = LineLimit()
    record = logging.makeLogRecord({"name": "whisker", "msg": "again"})
    assert [limit.admits(record) for _ in range(MAX_LINES + 1)] == [True] * MAX_LINES + [False]
    assert limit.summaries() == []
    now += SUMMARY_SECONDS
    (summary,) = limit.summaries()
    assert vars(summary)["lines"] == 1
    assert limit.admits(record)


def flush() -> None:
    """Wait until everything logged is written."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _failure() -> logging.LogRecord:
    exc = ValueError("why")
    return logging.LogRecord("x", logging.ERROR, "", 0, "It failed at %d", (3,), (ValueError, exc, None))


def _records(stream: io.StringIO) -> list[dict[str, Any]]:
    flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]
