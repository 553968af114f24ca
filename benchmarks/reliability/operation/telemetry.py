"""A service that reports to nobody: no process of it connects to another machine, or leaves a file in HOME."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.process import RunningServer
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.surroundings import ROOT, Surroundings, serve_once

_AUDITED = Path(__file__).parent / "audited"
_LEFT_OUT = ("WHISKER_", "COVERAGE_", "CI")
_MARK = "audit: "  # as in audited/sitecustomize.py


def call_nobody(server: RunningServer, trial: Trial) -> list[Finding]:
    """Serve a photo, and predict for a folder, while an audit hook in every process tells of calls and files."""
    del server  # no hook listens to it
    with TemporaryDirectory(prefix="whisker-audit-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        outcome = serve_once(Surroundings("audited", audited(home)), trial.checkpoint, trial.requests[0])
        predicted = predict(Path(folder), trial.photos[:2], trial.checkpoint, audited(home))
        told = [*heard(outcome.log), *heard(predicted.stderr), *left(home)]
    return [
        Finding("status of a photo", outcome.reply.status, "", 200, "same"),
        Finding("exit code of whisker predict", predicted.returncode, "", 0, "same"),
        Finding("calls of other machines, files in HOME", len(told), target=0, detail="; ".join(sorted(set(told)))),
    ]


def audited(home: Path) -> dict[str, str]:
    """Give variables with which every Python process tells on stderr what it should not do."""
    # Continuous integration is spared by OpenVINO's telemetry. A measurement of coverage writes files of its own.
    others = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    # Its own cache, which is in HOME by default, is meant to be there.
    cache = {"XDG_CACHE_HOME": str(home.with_name("cache"))}
    return others | cache | {"PYTHONPATH": str(_AUDITED), "AUDITED": "1", "HOME": str(home)}


def heard(log: str) -> list[str]:
    """List what audited processes have told."""
    return [line.removeprefix(_MARK) for line in log.splitlines() if line.startswith(_MARK)]


def left(home: Path) -> list[str]:
    """List what lies in HOME now."""
    return [f"left {path.relative_to(home)}" for path in home.rglob("*")]


def predict(
    work: Path, photos: Sequence[bytes], checkpoint: Path, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Let `whisker predict` write its results for a folder of photos."""
    folder = work / "photos"
    folder.mkdir()
    for number, photo in enumerate(photos):
        (folder / f"{number}.jpg").write_bytes(photo)
    command = [sys.executable, "-m", "whisker", "predict", str(folder), f"--checkpoint={checkpoint}"]
    return subprocess.run(  # noqa: S603 - our own program
        [*command, f"--out={work / 'results.jsonl'}"],
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
