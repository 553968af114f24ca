"""R12: faults inside: processes that die or stand still, a network that overflows, checkpoints that are none."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
from PIL import Image

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.http import form_request
from benchmarks.load import run_count
from benchmarks.process import RunningServer
from benchmarks.reliability.checkpoints import bad_checkpoints, write_fragile
from benchmarks.reliability.client import ask
from benchmarks.reliability.pictures import encode
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import Probes, probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import ROOT
from whisker.app.inference.program import PROGRAM as WORKER_PROGRAM

_KILLS = 5
_CONNECTIONS, _REQUESTS = 8, 400
_PAUSE_SECONDS = 3.0  # after a fault: what it does to others shows by then
_PATIENCE = 30.0  # seconds; more is for ever
_STALL_SECONDS = 2.0  # after which a worker that does not answer is replaced, as the service is set
_COLOURS = ("black", "white") * 10


def fail_inside(server: RunningServer, trial: Trial) -> list[Finding]:
    """Kill and stop the processes that compute, let a network overflow, and start on checkpoints that are none."""
    trial.warm_up(server)
    if not _inference_workers(server):
        raise BenchmarkError("The server has no process that only computes.")
    return [
        *_kill(server, trial),
        *_kill_all(server, trial),
        *_stop(server, trial),
        *_overflow(server, trial),
        *_refuse_to_start(server, trial),
    ]


def _kill(server: RunningServer, trial: Trial) -> list[Finding]:
    """End one process again and again while an honest client goes on."""
    with probing(server.port, trial.requests[0]) as probes:
        for _ in range(_KILLS):
            worker = _inference_workers(server)[0]
            worker.kill()
            worker.wait(_PATIENCE)
            time.sleep(_PAUSE_SECONDS)
    return [
        Finding(f"one process killed, {_KILLS} times: requests not answered with 200", probes.failures(), target=0),
        Finding("the slowest answer meanwhile", _slowest(probes), "s", 1, detail=f"of {len(probes.all)}"),
    ]


def _kill_all(server: RunningServer, trial: Trial) -> list[Finding]:
    with probing(server.port, trial.requests[0]) as probes:
        for worker in _inference_workers(server):
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        time.sleep(_PAUSE_SECONDS)
    return [
        Finding("all killed at once: requests not answered with 200", probes.failures(), target=0),
        Finding("the slowest answer meanwhile", _slowest(probes), "s", 1, detail=f"of {len(probes.all)}"),
    ]


def _stop(server: RunningServer, trial: Trial) -> list[Finding]:
    """Let one process stand still, as a decoder does that never ends, while all have work."""
    worker = _inference_workers(server)[0]
    worker.suspend()
    load = run_count(Target(server.port, trial.requests), _CONNECTIONS, _REQUESTS)
    refused = sum(load.errors.values())
    _, left = psutil.wait_procs([worker], timeout=_PAUSE_SECONDS)
    return [
        Finding("one process stands still: requests refused, but for the one it had", max(0, refused - 1), target=0),
        Finding("the slowest answer meanwhile", max(load.latencies, default=math.nan), "s", _STALL_SECONDS + 1),
        Finding("it is still there", len(left), target=0),
    ]


def _overflow(server: RunningServer, trial: Trial) -> list[Finding]:
    """Serve a network that is infinite for bright pictures, which come between black ones."""
    pictures = {colour: encode(Image.new("RGB", (64, 64), colour), "PNG") for colour in set(_COLOURS)}
    checkpoint = server.folder / "fragile.safetensors"
    write_fragile(checkpoint, pictures["black"])
    with replace(trial, checkpoint=checkpoint, photos=[pictures["black"]]).start() as fragile:
        replies = [ask(fragile.port, form_request("/predict", pictures[colour])) for colour in _COLOURS]
    good, bad = replies[::2], replies[1::2]
    other = sum(reply.json().get("code") != "inference_failed" for reply in bad)
    return [
        Finding(
            "a network that overflows: good pictures not answered with 200",
            sum(it.status != 200 for it in good),
            target=0,
        ),
        Finding("answers to the others that do not say so", other, target=0),
    ]


def _refuse_to_start(server: RunningServer, trial: Trial) -> list[Finding]:
    trap = server.folder / "executed"
    started, unclear, names = list[str](), list[str](), list[str]()
    for name, data in bad_checkpoints(_copy(trial.checkpoint, server.folder), trap):
        path = server.folder / "bad.safetensors"
        path.write_bytes(data)
        code, said = start(path)
        names.append(name)
        started += [name] * (code == 0)
        unclear += [name] * (len(said) != 1 or "Traceback" in said[0])
    return [
        Finding("checkpoints that are none", len(names), detail=", ".join(names)),
        Finding("started with", len(started), target=0, detail=", ".join(started)),
        Finding("refused otherwise than in one line", len(unclear), target=0, detail=", ".join(unclear)),
        Finding("executed", int(trap.exists()), target=0),
    ]


def start(checkpoint: Path) -> tuple[int | None, list[str]]:
    """Start a server; return its exit code, 0 if it would serve, and what it says."""
    command = [sys.executable, "-m", "whisker", "serve", "--port=0", f"--checkpoint={checkpoint}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        try:
            said = process.communicate(timeout=_PATIENCE)[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            return 0, []
    return process.returncode, said.splitlines()


def _copy(checkpoint: Path, folder: Path) -> Path:
    path = folder / "good.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    return path


def _inference_workers(server: RunningServer) -> list[psutil.Process]:
    workers = []
    for process in server.processes():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if WORKER_PROGRAM in process.cmdline():
                workers.append(process)
    return workers


def _slowest(probes: Probes) -> float:
    return max(probe.waited for probe in probes.all)
