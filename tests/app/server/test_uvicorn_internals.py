"""uvicorn's internals: another version is refused when the module is imported, not at the first request."""

import tomllib
from pathlib import Path

import pytest
import uvicorn

from whisker.app.server.uvicorn_internals import SERIES, check_version
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
