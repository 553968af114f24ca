"""Folders that a stranger has filled: what is no photo, leads elsewhere, never ends, or has a name that does harm."""

import csv
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import RunningServer
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import ROOT

_PATIENCE = 60  # seconds; more is for ever
_MAX_NAME = 255  # bytes
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NAMES = (
    b"plain.jpg",
    b"=1+1.jpg",
    b"+1.jpg",
    b"-1.jpg",
    b"@SUM(1).jpg",
    b"\t=1.jpg",
    b"\x1b[31mred.jpg",
    b"\x1b]0;title\x07.jpg",
    b"\xc2\x9b2J.jpg",
    b"line\nbreak.jpg",
    "\u202egpj.exe".encode(),
    b"not utf-8 \xff.jpg",
    b"x" * (_MAX_NAME - 4) + b".jpg",
)
_LINKS = {"itself.jpg": "itself.jpg", "nowhere.jpg": "gone", "zero.jpg": "/dev/zero", "passwd.jpg": "/etc/passwd"}
_TO_FOLDERS = {"circle": ".", "root": "/"}  # which are passed over


@dataclass(frozen=True, slots=True)
class _End:
    """How a command ended: its exit code, `None` if it did not end by itself, and all that it wrote."""

    code: int | None
    text: bytes


def survive_hostile_folders(_server: RunningServer, trial: Trial) -> list[Finding]:
    """Classify such a folder, examine it and start the service with examples that lead out of theirs."""
    with tempfile.TemporaryDirectory() as parent:
        folder, out = Path(parent) / "photos", Path(parent) / "results.csv"
        entries = write_hostile_folder(folder, trial.photos[0])
        began = time.perf_counter()
        predicted = _run("predict", str(folder / "cat"), "--out", str(out), "--checkpoint", str(trial.checkpoint))
        seconds = time.perf_counter() - began
        examined = _run("doctor", str(folder))
        examples = folder / "examples"
        examples.mkdir()
        (examples / "a.jpg").symlink_to("/etc/passwd")
        served = _run("serve", "--port=0", f"--examples={examples}", f"--checkpoint={trial.checkpoint}")
        rows = _read(out)
    cells = [cell for row in rows for cell in row]
    ends = (predicted, examined, served)
    return [
        Finding("entries", entries, detail=f"{len(_NAMES)} names, {len(_LINKS)} links, a pipe, a socket, a folder"),
        Finding("rows beside one for each entry", abs(len(rows) - 1 - entries), target=0),
        Finding("cells that a spreadsheet runs", sum(cell.startswith(_FORMULA) for cell in cells), target=0),
        Finding("commands that did not end", sum(end.code is None for end in ends), target=0),
        Finding("commands that ended in a traceback", sum(b"Traceback" in end.text for end in ends), target=0),
        Finding("escape bytes written", sum(end.text.count(b"\x1b") for end in ends), target=0),
        Finding("exit codes of predict and doctor", abs(predicted.code or 0) + abs(examined.code or 0), target=0),
        Finding("served with examples that lead out", int(served.code in (None, 0)), target=0),
        Finding("time to classify them", seconds, "s"),
    ]


def write_hostile_folder(folder: Path, photo: bytes) -> int:
    """Write two class folders, of which `cat` has one of everything; return how many entries of it are to be listed."""
    cat, dog = folder / "cat", folder / "dog"
    for place in (cat, dog, cat / "directory.jpg"):
        place.mkdir(parents=True)
    (dog / "dog.jpg").write_bytes(photo)
    for name in _NAMES:
        (cat / os.fsdecode(name)).write_bytes(photo)
    for link, target in (_LINKS | _TO_FOLDERS).items():
        (cat / link).symlink_to(target)
    os.mkfifo(cat / "pipe.jpg")
    (cat / "piped.jpg").symlink_to("pipe.jpg")
    _make_socket(cat, "socket.jpg")
    return len(_NAMES) + len(_LINKS) + 3


def _make_socket(folder: Path, name: str) -> None:
    """Leave a socket behind; from within its folder, as its path may have no more than 107 bytes."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
    finally:
        os.chdir(here)


def _run(*words: str) -> _End:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    command = [sys.executable, "-m", "whisker", *words]
    try:
        ended = subprocess.run(  # noqa: S603 - our own
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        return _End(None, (exc.stdout or b"") + (exc.stderr or b""))
    return _End(ended.returncode, ended.stdout + ended.stderr)


def _read(file: Path) -> Sequence[Sequence[str]]:
    """Read the rows of a CSV file; none if it was not written."""
    if not file.is_file():
        return ()
    with file.open(encoding="utf-8", newline="") as lines:
        return [*csv.reader(lines)]
