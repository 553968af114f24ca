"""Checkpoints that were forged to harm whoever loads them: a start that never ends, a traceback, a card that fails."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.process import RunningServer
from benchmarks.reliability.checkpoints import forge, forged_checkpoints
from benchmarks.reliability.client import ask, get
from benchmarks.reliability.operation.faults import start
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding

_SECONDS = 10  # within which a file is refused, half of them for the start of Python and PyTorch
# Figures of the right kinds that contradict each other and the classes, and figures of wrong kinds.
ABSURD: dict[str, Any] = {
    "test": {"photos": -1, "accuracy": 1e30, "accuracy_95_interval": [9, -9], "confusion": [[-1], [2, 3, 4]]},
    "validation": "good",
    "confident": {"answers": 9, "of": 0, "wrong": 10, "promised": True, "promised_precision": 99.0},
    "unknown": {"false_alarms": 9, "of": 0, "outliers": {"caught": 3, "of": 0}},
    "learning_curve": {
        "measured": [],
        "doubled": {"photos": 1, "accuracy": 2, "accuracy_95_interval": [0, 0]},
        "gains": [0, 0, 0, 1],
    },
    "figures": {"per_class": [{"photos": 1, "answered": 0, "right": 7}], "reliability": [], "coverage": [{}]},
    "profile": {"labels": {"x": -1}, "score_edges": [0.5, 0.7, 0.9, 0.95, 0.99], "scores": [0, 0, 0, 0, 0, -1]},
}


def refuse_forged_checkpoints(server: RunningServer, trial: Trial) -> list[Finding]:
    """Start on each forged file, and on one whose figures are absurd: that one is served, and its card with it."""
    good = server.folder / "good.safetensors"
    good.write_bytes(trial.checkpoint.read_bytes())
    names, started, unclear, slowest = list[str](), list[str](), list[str](), 0.0
    for name, path in _write_each(good):
        began = time.perf_counter()
        code, said = start(path)
        slowest = max(slowest, time.perf_counter() - began)
        names.append(name)
        started += [name] * (code == 0)
        unclear += [name] * (len(said) != 1 or "Traceback" in said[0])
    return [
        Finding("forged checkpoints", len(names), detail=", ".join(names)),
        Finding("started with, or never ended", len(started), target=0, detail=", ".join(started)),
        Finding("refused otherwise than in one line", len(unclear), target=0, detail=", ".join(unclear)),
        Finding("the slowest refusal", slowest, "s", _SECONDS),
        _serve_absurd(good, trial),
    ]


def _write_each(good: Path) -> Iterator[tuple[str, Path]]:
    path = good.with_name("forged.safetensors")
    for name, data in forged_checkpoints(good):
        path.write_bytes(data)
        yield name, path


def _serve_absurd(good: Path, trial: Trial) -> Finding:
    path = good.with_name("absurd.safetensors")
    path.write_bytes(forge(good.read_bytes(), lambda header, _: header.update(metrics=ABSURD, provenance=ABSURD)))
    with replace(trial, checkpoint=path).start() as absurd:
        answers = {page: ask(absurd.port, get(page)).status for page in ("/card", "/model", "/")}
    failed = [f"{page}: {status}" for page, status in answers.items() if status != 200]
    return Finding("absurd figures: pages not answered with 200", len(failed), target=0, detail=", ".join(failed))
