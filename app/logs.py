"""Structured logs on stderr: JSON lines for machines, readable lines for people, and the id of the request."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Protocol, TextIO

from whisker.app.log_writer import ThreadedHandler

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}  # the last is uvicorn's
_request: ContextVar[Mapping[str, str]] = ContextVar("request", default=MappingProxyType({}))  # its id, and its trace


class LogStyle(Protocol):
    """The settings of the log."""

    @property
    def log_format(self) -> str: ...

    @property
    def log_level(self) -> str: ...


def current_request_id() -> str:
    """Return the id of the request being answered, or "" outside of one."""
    return _request.get().get("request_id", "")


@contextmanager
def request_context(request_id: str, trace: Mapping[str, str]) -> Iterator[None]:
    """Name the request that everything logged within this context belongs to, and the trace that it is part of."""
    token = _request.set({**trace, "request_id": request_id})
    try:
        yield
    finally:
        _request.reset(token)


def configure_logging(settings: LogStyle, stream: TextIO | None = None, *, http_worker: int | None = None) -> None:
    """Send every logger's lines, uvicorn's too, through one handler to `stream` (by default stderr).

    Each line names the `http_worker` that wrote it, if there are several.
    """
    handler = ThreadedHandler(stream or sys.stderr)
    readable = settings.log_format == "text" or (settings.log_format == "auto" and handler.stream.isatty())
    handler.setFormatter(TextFormatter() if readable else JsonFormatter())
    if http_worker is not None:
        handler.addFilter(partial(_name_worker, http_worker))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def flush_log() -> None:
    """Wait a moment for all lines to be written, as what is printed afterwards would overtake them."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def take_dropped_lines() -> int:
    """Return how many lines could not be written since the last call."""
    return sum(it.take_dropped() for it in logging.getLogger().handlers if isinstance(it, ThreadedHandler))


class JsonFormatter(logging.Formatter):
    """Write a record, its `extra` fields and the request's id as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Write a record for a reader: time, level, message, then the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record):%H:%M:%S} {record.levelname.lower():7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _name_worker(worker: int, record: logging.LogRecord) -> bool:
    record.worker = worker
    return True


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    # Names with an underscore are other libraries' own: Ray marks all records of a process.
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD and name[0] != "_"}
    return {**fields, **_request.get()}
