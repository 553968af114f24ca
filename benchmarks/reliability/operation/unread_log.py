"""R23: a log that nobody reads, and a client that fills it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.load import run_count
from benchmarks.process import RunningServer
from benchmarks.reliability.client import ask, get
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import ROOT

_REQUESTS, _CONNECTIONS = 20_000, 16
_PATH = "/nothing/" + "a" * 700
_START_SECONDS = 60.0
_PORTS_ABOVE = 7  # of the trial's own server


def survive_an_unread_log(server: RunningServer, trial: Trial) -> list[Finding]:
    """Ask 20,000 times for what is not there, and then 20,000 times a server whose log goes to a pipe that is full."""
    trial.warm_up(server)
    log = server.folder / "log"
    before = log.stat().st_size
    run_count(Target(server.port, [get(_PATH)]), _CONNECTIONS, _REQUESTS)
    written = (log.stat().st_size - before) / 1e6
    with _unread(server.port + _PORTS_ABOVE, trial) as port:
        load = run_count(Target(port, [get("/livez?" + _PATH)]), _CONNECTIONS, _REQUESTS)
        answered, photo = len(load.latencies), ask(port, trial.requests[0]).status
        dropped = _counter(port, b"whisker_log_lines_dropped_total")
        summed_up = log.read_bytes().count(b"More lines of a kind were left out")
    return [
        Finding(f"log of {_REQUESTS:,} refused requests", written, "MB", 0.2),
        Finding("lines that sum up the others", summed_up, "", 1, "more"),
        Finding("log that nobody reads: requests answered", answered, "", _REQUESTS, "same"),
        Finding("lines that were dropped, by /metrics", dropped, "", _REQUESTS / 2, "more"),
        Finding("a photo afterwards is answered with", photo, "", 200, "same"),
    ]


@contextmanager
def _unread(port: int, trial: Trial) -> Iterator[int]:
    """Serve with a log that goes to a pipe, all requests in it, and read no more than that it has started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    environment |= {"WHISKER_PORT": str(port), "WHISKER_HOST": "127.0.0.1", "WHISKER_LOG_REQUESTS": "all"}
    environment |= {"WHISKER_CHECKPOINT": str(trial.checkpoint.resolve()), "WHISKER_DEVICE": "cpu"}
    command = [sys.executable, *trial.server.command]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own
        try:
            deadline = time.monotonic() + _START_SECONDS
            while ask(port, get("/readyz")).status != 200:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise BenchmarkError("The server with an unread log does not start.")
                time.sleep(0.1)
            yield port
        finally:
            process.kill()


def _counter(port: int, name: bytes) -> float:
    for line in ask(port, get("/metrics")).received.splitlines():
        if line.startswith(name + b" "):
            return float(line.split()[-1])
    return float("nan")
