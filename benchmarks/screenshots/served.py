"""A service of its own for each checkpoint to show."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.servers import ROOT


@contextmanager
def served(checkpoint: Path, **variables: str) -> Iterator[str]:
    """Serve a checkpoint for the block, with settings as environment variables; give its address."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    command = [
        sys.executable,
        "-m",
        "whisker",
        "serve",
        "--host=127.0.0.1",
        "--port=0",
        "--inference-workers=1",
        "--threads=1",
    ]
    process = subprocess.Popen(  # noqa: S603 - the command is ours
        [*command, "--engine=torch", f"--checkpoint={checkpoint}"],
        env={**inherited, "PYTHONPATH": str(ROOT), **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield f"http://{_address(process)}"
    finally:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stderr or ():
        lines.append(line.strip())
        document = json.loads(line) if line.startswith("{") else {}
        if str(document.get("message", "")).startswith("Serving"):
            return str(document["address"])
    raise BenchmarkError(f"The service has ended: {' / '.join(lines[-3:])}")
