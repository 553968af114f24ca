"""Where Whisker runs: it calls nobody, and needs neither HOME, nor a folder to write to, nor a user with a name."""

import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.http import form_request
from benchmarks.reliability.operation.audited.sitecustomize import told
from benchmarks.reliability.operation.telemetry import audited, heard, left, predict
from benchmarks.reliability.surroundings import Surroundings, plain_variables, serve_once
from tests.app.conftest import picture

_ROOT = Path(__file__).parents[2]
_NOBODY = 12_345  # of no file


def forbid_files() -> None:
    """Let no file have any content."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_nobody_is_called_and_no_file_is_needed(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'whisker-vision[openvino]'")
    home = tmp_path / "home"
    home.mkdir()
    variables = audited(home) | {"WHISKER_ENGINE": "openvino", "WHISKER_THREADS": "1"}
    confined = Surroundings(
        "confined",
        variables | {"TMPDIR": "/proc/none"},
        options=("--inference-workers=1",),
        prepare=forbid_files,
    )
    with ThreadPoolExecutor(1) as pool:
        predicting = pool.submit(predict, tmp_path, [picture()], tiny, variables)
        served = serve_once(confined, tiny, form_request("/predict", picture()))
        predicted = predicting.result()
    assert served.reply.status == 200, served.log
    assert not served.has_traceback
    assert (served.exit_code, predicted.returncode) == (0, 0)
    assert heard(served.log + predicted.stderr) + left(home) == []


def test_openvino_needs_no_home_and_starts_no_thread(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    script = "import whisker.model, threading, openvino.tools.ovc.main; print(threading.active_count())"
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", script],
        cwd=_ROOT,
        env=plain_variables(AUDITED="1", PYTHONPATH=audited(tmp_path)["PYTHONPATH"]),
        capture_output=True,
        text=True,
        check=False,
        user=_NOBODY if os.geteuid() == 0 and _is_open_to_all(Path(sys.executable)) else None,
    )
    assert (ended.stdout, ended.stderr) == ("1\n", "")


def _is_open_to_all(program: Path) -> bool:
    """Tell whether another user may run a program that lies in folders of ours, and read the project."""
    places = {*program.parents, *program.resolve().parents, _ROOT, *_ROOT.parents}
    return all(place.stat().st_mode & 0o001 for place in places)


@pytest.mark.parametrize(
    ("event", "arguments", "line"),
    [
        ("urllib.Request", ("https://example.org/a", None, {}, "POST"), "request to https://example.org/a"),
        ("socket.connect", (None, ("192.0.2.1", 443)), "call of 192.0.2.1"),
        ("socket.getaddrinfo", ("example.org", 443, 0, 1, 0), "call of example.org"),
        ("http.client.connect", (None, "example.org", 443), "call of example.org"),
        ("open", ("/home/a/b", "w", os.O_WRONLY), "write to /home/a/b"),
        ("os.mkdir", (b"/home/a/b", 0o700, -1), "write to /home/a/b"),
        ("open", ("/home/a/b", "r", os.O_RDONLY), ""),
        ("open", ("/home/b", "w", os.O_WRONLY), ""),
        ("open", (3, "w", os.O_WRONLY), ""),
        ("socket.connect", (None, ("::1", 80, 0, 0)), ""),
        ("socket.connect", (None, "/run/socket"), ""),
        ("socket.getaddrinfo", (None, 80, 0, 1, 0), ""),
        ("import", ("os",), ""),
    ],
)
def test_hook_tells_of_calls_and_of_files(event: str, arguments: tuple[Any, ...], line: str) -> None:
    assert told(event, arguments, "/home/a") == line


def test_hook_hears_real_calls(tmp_path: Path) -> None:
    call = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", f"open({str(tmp_path / 'file')!r}, 'w'); {call}"],
        env=audited(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert heard(ended.stderr) == [f"write to {tmp_path / 'file'}", "call of 192.0.2.1"]
