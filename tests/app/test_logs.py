"""Logs: one JSON object a line for machines, one readable line for people."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.app.conftest import Serving
from whisker.app.logs import JsonFormatter, TextFormatter, configure_logging
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
    (line,) = [line for line in _records(stream) if line["logger"] == "whisker.app.inference.service"]
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
    assert stream.getvalue() == ""


def _failure() -> logging.LogRecord:
    exc = ValueError("why")
    return logging.LogRecord("x", logging.ERROR, "", 0, "It failed at %d", (3,), (ValueError, exc, None))


def _records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]
