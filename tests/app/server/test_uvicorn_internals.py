"""uvicorn's internals: another version is refused when the module is imported, not at the first request."""

import asyncio
import tomllib
from pathlib import Path
from typing import cast

import pytest
import uvicorn
from starlette.applications import Starlette

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


@pytest.mark.anyio
async def test_connection_is_read_when_neither_uvicorn_nor_the_service_has_stopped_it() -> None:
    server = Server(server_config(Starlette(), HttpConnection))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    connection, transport = cast("HttpConnection", server.new_connection()), Transport()
    connection.connection_made(transport)
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
