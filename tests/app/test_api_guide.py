"""docs/reference/http-api.md: every example runs, and every route has one in curl and one in Python."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import ROOT, Server, picture
from whisker.app.main import create_app
from whisker.app.settings import Settings

_GUIDE = (ROOT / "docs" / "reference" / "http-api.md").read_text()
_EXAMPLES = re.findall(r"^```(sh|python)\n(.+?)^```$", _GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tiny, "--inference-workers=1", WHISKER_CORRECTIONS=str(tmp_path_factory.mktemp("corrections")))
    server.client.post("/predict", files={"file": ("a.png", picture())})  # so that there is something to count
    yield server
    server.clean_up()


@pytest.mark.parametrize(("language", "code"), _EXAMPLES, ids=lambda text: text.strip().splitlines()[-1][:60])
def test_example_runs(server: Server, tmp_path: Path, language: str, code: str) -> None:
    for name, colour in (("photo.jpg", "red"), ("other.jpg", "blue")):
        (tmp_path / name).write_bytes(picture(200, 150, colour=colour, format_="JPEG"))
    code = code.replace("http://localhost:8000", server.address)
    (tmp_path / ".curlrc").write_text("silent\nshow-error\nfail\n")  # curl counts a refusal as success otherwise
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*", "CURL_HOME": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own documentation
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip()


def test_every_route_has_an_example_in_both_languages(settings: Settings) -> None:
    sections = dict(re.findall(r"^## `(\w+ /\S+)`$(.+?)(?=^## |\Z)", _GUIDE, re.MULTILINE | re.DOTALL))
    paths = create_app(settings).openapi()["paths"]
    assert sections.keys() == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    for name, section in sections.items():
        assert "```sh" in section, name
        assert "```python" in section, name
