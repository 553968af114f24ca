"""Signals at any moment: of a terminal that is closed, and of an operator who has changed his mind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.process import RunningServer
from benchmarks.reliability.commands import inference_workers, left_of
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import ROOT

_MODES: dict[str, tuple[str, ...]] = {"one process": (), "two HTTP workers": ("--workers=2",)}
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_IMPORT_SECONDS = (0.2, 1.0)  # moments while modules are imported
_LOAD_SECONDS = (0.0, 0.7)  # after the first inference worker has started to load
_AT_ONCE_SECONDS = 0.5
_NOTICE_SECONDS = 2.0  # before clients behind a load balancer stay away
_END_SECONDS = 40.0
_INTERRUPTED = 130  # the exit code that a shell gives to Ctrl-C, too
_CHILDREN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _End:
    """How a start ended that a signal met."""

    what: str
    allowed: tuple[int, ...]  # exit codes
    seconds: float
    code: int
    said: str
    left: int


def end_when_told(_server: RunningServer, trial: Trial) -> list[Finding]:
    """Send SIGHUP to all processes of a service at work, and each signal at several moments of a start."""
    ends = [
        _interrupt(trial, options, number, moment, is_loading=is_loading)
        for options in _MODES.values()
        for number in _SIGNALS
        for is_loading, moments in ((False, _IMPORT_SECONDS), (True, _LOAD_SECONDS))
        for moment in moments
    ]
    slowest = max(ends, key=lambda end: end.seconds)
    spoken = [end.what for end in ends if "Traceback" in end.said]
    failed = [f"{end.what}: {end.code}" for end in ends if end.code not in end.allowed]
    return [
        *_hang_up(trial),
        Finding("starts that were interrupted", len(ends)),
        Finding("the slowest end of one", slowest.seconds, "s", _AT_ONCE_SECONDS, detail=slowest.what),
        Finding(
            "other exit codes than 0 or, while importing, the signal's", len(failed), target=0, detail=", ".join(failed)
        ),
        Finding("with a traceback", len(spoken), target=0, detail=", ".join(spoken)),
        Finding("processes left", sum(end.left for end in ends), target=0),
    ]


def _hang_up(trial: Trial) -> list[Finding]:
    """Send SIGHUP to every process of a service, as a terminal does that is closed, under light load."""
    with trial.start() as server:
        family = server.processes()
        with probing(server.port, trial.requests[0]) as probes:
            time.sleep(_NOTICE_SECONDS)
            for process in reversed(family):
                process.send_signal(signal.SIGHUP)
            time.sleep(_NOTICE_SECONDS)
        code = server.wait(_END_SECONDS)
        left = left_of(family, _CHILDREN_SECONDS)
    return [
        Finding("SIGHUP: requests lost", probes.failures(), target=0, detail=f"of {len(probes.all)}"),
        Finding("exit code", -1 if code is None else code, target=0, better="same"),
        Finding("processes left after SIGHUP", len(left), target=0),
    ]


def _interrupt(
    trial: Trial, options: Sequence[str], number: signal.Signals, moment: float, *, is_loading: bool
) -> _End:
    """Start a service, and send it a signal so many seconds after it has started, or has started to load."""
    command = [
        sys.executable,
        "-m",
        "whisker",
        "serve",
        "--host=127.0.0.1",
        "--port=0",
        f"--checkpoint={trial.checkpoint}",
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        service = psutil.Process(process.pid)
        while is_loading and not inference_workers(service):
            time.sleep(0.01)
        time.sleep(moment)
        family = [service, *service.children(recursive=True)]
        told = time.perf_counter()
        process.send_signal(number)
        try:
            code = process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it has not noticed
            process.kill()
            code = process.wait()
        seconds = time.perf_counter() - told
        left = left_of(family[1:], _CHILDREN_SECONDS)
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        stage = "loading" if is_loading else "importing"
        what = f"{number.name} {' '.join(options)} {moment} s into {stage}"
        allowed = (0,) if is_loading else (0, -number, _INTERRUPTED)
        return _End(what, allowed, seconds, code, process.stderr.read(), len(left))
