import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.limit import measure_limit
from benchmarks.measure import Plan, Setting, measure_server
from benchmarks.process import running
from benchmarks.servers import PEERS, WHISKER, Server
from tests.pictures import draw, encode
from whisker.training.job import Training

ROOT = Path(__file__).parents[2]
TINY_SERVER = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
PHOTO = encode(draw("rings", 0, (200, 150)), "JPEG")


def test_server_is_started_watched_and_ended_with_its_children(trained: Training) -> None:
    tuned = next(server for server in PEERS if server.name == "fastapi-tuned")
    before = psutil.Process().children()  # the standard library's resource tracker may be among them
    with running(tuned, sys.executable, trained.out, PHOTO) as server:
        family = set(psutil.Process().children(recursive=True)).difference(before)
        assert server.start_up_seconds > 0
        assert server.cpu_seconds() > 0
        assert server.rss_mb() > 50
    assert not any(process.is_running() for process in family)


def test_server_that_fails_says_so_with_the_end_of_its_log(trained: Training) -> None:
    broken = Server("broken", "Broken", "", ("-c", "import sys; sys.exit('no luck today')"))
    with (
        pytest.raises(BenchmarkError, match=r"Broken ended. Its log ends with: no luck today"),
        running(broken, sys.executable, trained.out, PHOTO),
    ):
        pass


def test_peer_that_is_missing_says_how_to_install_it(trained: Training) -> None:
    server = Server(
        "no", "Nobody", "", (), install=("'nobody[all]'",), modules=("nobody_has_this",), programs=("nope",)
    )
    setting = Setting(Plan(0, 1, 1, 10), trained.out, [PHOTO], [PHOTO], 100.0, lambda _: None)
    result = measure_server(server, sys.executable, setting)
    assert result.state == "not installed"
    assert result.notes == ["It needs: pip install 'nobody[all]' and the program nope."]


@pytest.mark.slow
def test_everything_is_measured_of_a_server(trained: Training) -> None:
    tiny = Server(WHISKER.name, "Tiny", "", ("-c", TINY_SERVER, "{port}"))
    said: list[str] = []
    plan = Plan(warm_up=0, seconds=0.2, tries=1, memory_requests=20, connections=(1, 16))
    setting = Setting(plan, trained.out, [PHOTO], [PHOTO], 1.0, said.append)
    result = measure_server(tiny, sys.executable, setting)
    assert result.notes == []
    assert [point.connections for point in result.closed] == [1, 16]
    assert [point.offered for point in result.open][:5] == [0.1, 0.25, 0.5, 0.75, 0.9]
    assert result.large is not None
    assert result.raw is not None
    assert result.raw.requests_per_second > 0
    assert [memory.requests for memory in result.memory] == list(range(2, 21, 2))
    assert len(said) == len(result.start_up_seconds) == 11


def test_in_process_limit_is_measured(trained: Training) -> None:
    assert measure_limit(trained.out, [PHOTO], warm_up=0.1, seconds=0.2) > 0


@pytest.mark.parametrize("target", ["bench", "torture"])
def test_make_says_which_photos_to_give(target: str) -> None:
    done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)  # noqa: S603, S607
    assert done.returncode != 0
    assert f"make {target} PHOTOS=" in done.stderr
