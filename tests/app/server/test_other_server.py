"""The application under another server than `whisker serve`: plain uvicorn, as in `uvicorn app.main:app`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import ROOT, picture


class OtherServer:
    """A `uvicorn` of its own, on a free port, with the settings of its environment."""

    def __init__(self, checkpoint: Path) -> None:
        settings = {"CHECKPOINT": str(checkpoint), "INFERENCE_WORKERS": "1", "DRAIN_SECONDS": "9"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app.main:app", "--port=0"],
            cwd=ROOT,
            env={**os.environ, "PORT": "1", **{f"WHISKER_{name}": value for name, value in settings.items()}},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.lines: list[str] = []
        while not (self.lines and "Uvicorn running on " in self.lines[-1]):
            self.lines.append(self.process.stderr.readline())
            assert self.lines[-1], self.lines
        address = self.lines[-1].partition("running on ")[2].split()[0]
        self.client = httpx.Client(base_url=address, trust_env=False)


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[OtherServer]:
    server = OtherServer(tiny)
    yield server
    server.client.close()
    server.process.terminate()
    server.process.communicate()


def test_everything_is_answered(server: OtherServer) -> None:
    client = server.client
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").status_code == 200
    assert client.post("/predict", files={"file": ("a.png", picture())}).json()["model"]["name"] == "tiny"
    refused = client.post("/predict", content=b"no picture", headers={"Content-Type": "image/png"})
    assert refused.json()["code"] == "unsupported_picture_format"
    assert client.post("/predict/batch", files=[("file", picture())] * 2).json()["results"][1]["problem"] is None


def test_log_says_what_the_settings_cannot_do_there(server: OtherServer) -> None:
    log = "".join(server.lines)
    assert "see docs/how-to/another-server.md" in log
    assert "WHISKER_DRAIN_SECONDS has no effect" in log
    assert "as PORT says" not in log
