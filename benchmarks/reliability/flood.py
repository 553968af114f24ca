"""An open loop in a process of its own, of low priority: what it takes of the cores is not to be the server's loss."""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.connections import Target
from benchmarks.load import Load, run_open

_ROOT = Path(__file__).parents[2]
NICENESS = 10  # a ninth of the weight of a server's process


def flood(target: Target, rate: float, *, warm_up: float, seconds: float) -> Load:
    """Send requests as `run_open` does; the latencies are those of a client that is short of time."""
    ours, theirs = socket.socketpair()
    sizes = ",".join(str(len(request)) for request in target.requests)
    command = [sys.executable, "-m", __name__, str(target.port), str(rate), str(warm_up), str(seconds), sizes]
    with ours, theirs, subprocess.Popen(command, cwd=_ROOT, stdin=theirs.fileno(), stdout=theirs.fileno()):  # noqa: S603 - ourselves
        theirs.close()
        ours.sendall(b"".join(target.requests))
        with ours.makefile("rb") as output:
            answered, errors, shed, cpu = json.loads(output.read())
    return Load(seconds, (math.nan,) * answered, errors, math.nan, cpu, (math.nan,) * shed)


def _run(port: int, rate: float, warm_up: float, seconds: float, requests: Sequence[bytes]) -> None:
    os.nice(NICENESS)
    load = run_open(Target(port, requests), rate, warm_up=warm_up, seconds=seconds, server_cpu=lambda: math.nan)
    print(json.dumps([len(load.latencies), load.errors, len(load.shed), load.generator_cpu]))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    _port, _rate, _warm_up, _seconds, _sizes = sys.argv[1:]
    _requests = [sys.stdin.buffer.read(int(size)) for size in _sizes.split(",")]
    _run(int(_port), float(_rate), float(_warm_up), float(_seconds), _requests)
