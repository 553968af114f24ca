"""uvicorn's internals: another version is refused when the module is imported, not at the first request."""

import asyncio
import tomllib
from pathlib import Path
from typing import cast

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from whisker.app.server.uvicorn_internals import SERIES, HttpConnection, Server, check_version, server_config
from whisker.model.errors import ConfigError

_PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_installed_version_is_the_one_that_is_written_for() -> None:
    check_version(uvicorn.__version__)
    assert uvicorn.__version__.startswith(f"{SERIES}.")


@pytest.mark.parametrize("version", ["0.53.1", "0.55.0", "0.540.0", "1.0.0"])
def test_other_versions_are_refused_in_one_sentence(version: str) -> None:
    with pytest.raises(ConfigError, match=rf"needs uvicorn {SERIES}, not {version}: .*pip install"):
        check_version(version)


def test_version_is_bounded_where_it_is_installed_from() -> None:
    requirements = tomllib.loads(_PYPROJECT.read_text())["project"]["dependencies"]
    major, minor = SERIES.split(".")
    assert f"uvicorn>={SERIES},<{major}.{int(minor) + 1}" in requirements


def test_missing_attribute_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("uvicorn.Server.on_tick")
    with pytest.raises(ConfigError, match="needs uvicorn"):
        check_version(uvicorn.__version__)


class Transport(asyncio.Transport):
    """Remembers what it has been told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.told.append("close")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data).decode())


async def _answer(scope: Scope, _receive: Receive, send: Send) -> None:
    body = b"photo" if scope["path"] != "/" else b""
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/failure":
        raise OSError("The disk has failed.")
    if scope["path"] == "/nothing":
        return
    if scope["path"] == "/pieces":
        await send({"type": "http.response.body", "body": body[:2], "more_body": True})
        body = body[2:]
    await send({"type": "http.response.body", "body": body})


def _connect(app: ASGIApp) -> tuple[HttpConnection, Transport]:
    server = Server(server_config(app, HttpConnection))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    connection, transport = cast("HttpConnection", server.new_connection()), Transport()
    connection.connection_made(transport)
    return connection, transport


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("request_line", "bodies"),
    [("GET /photo", ["photo"]), ("GET /", [""]), ("GET /pieces", ["ph", "oto"]), ("HEAD /photo", [""])],
)
async def test_head_of_an_answer_leaves_with_the_first_part_of_its_body(request_line: str, bodies: list[str]) -> None:
    connection, transport = _connect(_answer)
    connection.data_received(f"{request_line} HTTP/1.1\r\nHost: whisker\r\n\r\n".encode())
    await asyncio.gather(*connection.tasks)
    first, *others = transport.told
    head, _, body = first.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert [body, *others] == bodies


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/failure", "/nothing"])
async def test_application_that_fails_after_the_head_is_answered_for(path: str) -> None:
    connection, transport = _connect(_answer)
    connection.data_received(f"GET {path} HTTP/1.1\r\nHost: whisker\r\n\r\n".encode())
    await asyncio.gather(*connection.tasks)
    assert transport.told[0].startswith("HTTP/1.1 500 Internal Server Error\r\n")
    assert transport.told[1:] == ["close"]


@pytest.mark.anyio
async def test_connection_is_read_when_neither_uvicorn_nor_the_service_has_stopped_it() -> None:
    connection, transport = _connect(Starlette())
    connection.hold_reading()
    connection.flow.pause_reading()  # as uvicorn does when a body has not been taken
    connection.release_reading()
    assert transport.told == ["pause"]
    connection.flow.resume_reading()
    assert transport.told == ["pause", "resume"]
    connection.hold_reading()
    connection.flow.resume_reading()
    assert transport.told == ["pause", "resume", "pause"]
    connection.release_reading()
    assert transport.told == ["pause", "resume", "pause", "resume"]
