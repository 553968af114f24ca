"""A deliberately bad server misses the rows; Whisker itself keeps what is no matter of speed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reliability.clients.leaks import leaks
from benchmarks.reliability.plan import QUICK, Trial
from benchmarks.reliability.rows import TESTS, run
from benchmarks.reliability.scoreboard import Row
from benchmarks.servers import Server
from tests.pictures import draw, encode
from whisker.training.job import Training

ROOT = Path(__file__).parents[3]
PHOTO = encode(draw("rings", 0, (200, 150)), "JPEG")
# Answers a photo in another way each time, everything else with a traceback, never sheds, and dies of SIGTERM.
BAD_SERVER = """
import http.server, itertools, socketserver, sys

scores = itertools.cycle([0.2, 0.4, 0.6])
GOOD = bytes.fromhex(sys.argv[2])

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length < 30_000_000 else b""
        if GOOD in body:
            self.reply(200, '{"label": "cat", "score": %s}' % next(scores))
        else:
            self.reply(500, 'Traceback (most recent call last): File "/srv/bad/app.py", line 1')
    def do_GET(self):
        self.reply(200, '<script src="https://elsewhere.example/swagger.js"></script>')
    def reply(self, status, text):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass

class Threads(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True
    def handle_error(self, *args):
        pass

Threads(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
BAD = Server("bad", "Bad", "", ("-c", BAD_SERVER, "{port}", PHOTO[-300:].hex()))
PLAN = replace(
    QUICK,
    damaged_pictures=102,
    bomb_rounds=1,
    mutated_requests=40,
    idle_seconds=0.2,
    slow_seconds=1.5,
    load_seconds=0.5,
    terminations=1,
    vanishing_clients=50,
    api_examples=5,
)
MISSED = {
    "R1": {"answers 5xx", "good photos with another answer than at the start"},
    "R2": {"not answered with 200", "orientations not answered with 200"},
    "R3": {"bombs not refused"},
    "R6": {"answers 5xx", "a photo is answered as before"},
    "R7": {"slow heads: the last is closed after", "slow bodies: the last is closed after"},
    "R9": {"/readyz is 503, with the listener open, after", "exit codes other than 0"},
    "R10": {"uploads in flight: as before after"},
    "R14": {
        "with a path or a traceback",
        "pages without nosniff",
        "pages without a content security policy",
        "POST from another site (Sec-Fetch-Site)",
        "POST from another site (Origin alone)",
        "third parties in /docs",
    },
}
KEPT = {
    "R2": {"not answered with 200", "orientations not answered with 200"},
    "R3": {"bombs not refused"},
    "R5": {"10 GB declared: not refused with 413", "of these three, wrong answers", "temporary files left"},
    "R10": {"processes that died", "a photo is answered as before"},
    "R13": {"operations tested", "pictures among them that were classified", "failures", "errors"},
}


def run_row(name: str, trial: Trial) -> Row:
    (test,) = (test for test in TESTS if test.name == name)
    row = run(test, trial)
    assert row.failure == ""
    return row


@pytest.mark.parametrize("name", MISSED)
def test_bad_server_misses(name: str, trained: Training) -> None:
    row = run_row(name, Trial(PLAN, [PHOTO], [], trained.out, BAD))
    assert not row.met
    assert {finding.what for finding in row.findings if not finding.met} >= MISSED[name]


@pytest.mark.parametrize("name", KEPT)
def test_whisker_keeps(name: str, trained: Training) -> None:
    row = run_row(name, Trial(PLAN, [PHOTO], [], trained.out))
    assert {finding.what for finding in row.findings if finding.met} >= KEPT[name]


def test_server_that_does_not_start_is_a_row_that_is_missed(trained: Training) -> None:
    broken = Server("broken", "Broken", "", ("-c", "import sys; sys.exit('no luck today')"))
    row = run(TESTS[0], Trial(PLAN, [PHOTO], [], trained.out, broken))
    assert not row.met
    assert "no luck today" in row.failure


def test_corpora_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("odd/a.png", "odd/pngsuite/b.png", "odd/http/httpreq/c", "odd/http/multipart/d"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    trial = Trial(PLAN, [PHOTO], [tmp_path], tmp_path)
    assert [path.name for path in trial.pictures()] == ["a.png", "b.png"]
    assert [path.name for path in trial.corpus("pngsuite")] == ["b.png"]
    assert [path.name for path in trial.corpus("httpreq")] == ["c"]


@pytest.mark.parametrize(
    ("answer", "leak"),
    [
        (b'{"detail": "Not found: /predict/batch"}', b""),
        (b"see https://host.example/usr/share/doc", b""),
        (b"[Errno 2]: '/home/me/whisker/x'", b"/home/me/"),
        (b"Traceback (most recent call last):", b"Traceback (most recent"),
        (b"in secret-folder", b"secret-folder"),
    ],
)
def test_leak_is_found_and_nothing_else(answer: bytes, leak: bytes) -> None:
    assert leaks(answer, [b"secret-folder"]) == leak


def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.reliability", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603


def test_command_prints_and_writes_the_scoreboard_and_fails_if_a_row_is_missed(
    trained: Training, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    places = ("--checkpoint", str(trained.out), "--out", str(tmp_path / "out"))
    done = run_command(str(tmp_path), "--quick", "--only", "R14", *places)
    (file,) = (tmp_path / "out").glob("reliability-*.json")
    (row,) = json.loads(file.read_text())["rows"]
    assert row["name"] == "R14"
    assert done.returncode == (0 if row["met"] else 1)
    assert "R14  leaks, other sites, offline docs" in done.stdout


def test_command_says_which_rows_there_are(tmp_path: Path) -> None:
    done = run_command(str(tmp_path), "--only", "R99")
    assert done.returncode == 1
    assert done.stderr == "torture: The rows are " + ", ".join(test.name for test in TESTS) + "; there is no 'R99'.\n"
