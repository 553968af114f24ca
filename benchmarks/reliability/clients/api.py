"""R13: requests made from the API's own description, by Schemathesis."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, ask, get
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import ROOT

_SEED = 1
_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
_SECONDS = 3_600  # more is a hang
_SAID_LINES = 3  # of what it says when it cannot do its work


def keep_to_the_description(server: RunningServer, trial: Trial) -> list[Finding]:
    """Let Schemathesis test every operation of `/openapi.json`, with valid and with invalid requests."""
    folder = server.folder / "corrections"  # without which there is nothing to be tested of one operation
    folder.mkdir()
    command = (*trial.server.command, f"--corrections={folder}")
    with replace(trial, server=replace(trial.server, command=command)).start() as willing:
        report, classified = _test(willing.port, trial.plan.api_examples), _classified(willing)
    failures = [f"{it['title']} ({it['count']} times, {', '.join(it['operations'])})" for it in report["failures"]]
    errors = [it["title"] for it in report["errors"]]
    return [
        Finding("operations tested", report["operations"]["tested"], "", report["operations"]["total"], "same"),
        Finding("requests", report["test_cases"]["generated"]),
        Finding("pictures among them that were classified", classified, "", 1, "more"),
        Finding("failures", len(failures), target=0, detail="; ".join(failures)),
        Finding("errors", len(errors), target=0, detail="; ".join(errors)),
    ]


def _classified(server: RunningServer) -> float:
    """Count the pictures that a server has answered for, but for the first, which showed that it was there."""
    lines = ask(server.port, get("/metrics")).received.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(b"whisker_predictions_total{")) - 1


def _test(port: int, examples: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="whisker-") as folder:
        file = Path(folder) / "report.json"
        command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={_CONFIGURATION}", "run"]
        options = [
            f"--max-examples={examples}",
            f"--seed={_SEED}",
            f"--report-json-path={file}",
            "--generation-database=none",
            "--continue-on-failure",
            "--no-color",
        ]
        ended = subprocess.run(  # noqa: S603 - ours
            [*command, *options, f"http://{HOST}:{port}/openapi.json"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if not file.is_file():
            said = " / ".join((ended.stdout + ended.stderr).strip().splitlines()[-_SAID_LINES:])
            raise BenchmarkError(f"Schemathesis did not come to a result: {said}")
        report: dict[str, Any] = json.loads(file.read_text())
        return report
