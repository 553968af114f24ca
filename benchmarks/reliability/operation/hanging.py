"""An HTTP worker of several that stands still: passed over, replaced, and not waited for at the end."""

import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing import spawn

import psutil

from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, ask, get
from benchmarks.reliability.commands import command_of, left_of
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import WHISKER

_TWO_WORKERS = replace(WHISKER, setting="2 HTTP workers", command=(*WHISKER.command, "--workers=2"))
_KEPT = 8  # connections that stay: most with the worker that goes on, so that new ones are the other's turn
_WINDOW_SECONDS = 2.0
_PASS_OVER_SECONDS = 1.0
_REPLACE_SECONDS = 30.0
_POLL_SECONDS = 0.1
_END_SECONDS = 40.0


def pass_over_hanging_workers(_server: RunningServer, trial: Trial) -> list[Finding]:
    """Stop one of two HTTP workers with SIGSTOP, count new connections a second, and stop another before SIGTERM."""
    with replace(trial, server=_TWO_WORKERS).start() as server:
        before = _rate(server)
        hanging = _http_workers(server)[0]
        family = [hanging, *hanging.children(recursive=True)]
        stopped = time.monotonic()
        os.kill(hanging.pid, signal.SIGSTOP)
        with _kept(server):
            time.sleep(_PASS_OVER_SECONDS)
            during = _rate(server)
        replaced = _until_replaced(server, hanging, stopped)
        left = left_of(family, _PASS_OVER_SECONDS)
        after = _rate(server)
        ended, code, survivors = _end(server)
    return [
        Finding("new connections a second before", before, "/s"),
        Finding("a second after one of two HTTP workers stands still", during, "/s", before / 3, "more"),
        Finding("seconds until another is ready in its place", replaced, "s", _REPLACE_SECONDS),
        Finding("new connections a second after", after, "/s", before / 2, "more"),
        Finding("its processes left", len(left), target=0),
        Finding("SIGTERM with one that stands still: seconds", ended, "s", 8, detail=f"exit code {code}"),
        Finding("processes left", survivors, target=0),
    ]


def _rate(server: RunningServer) -> float:
    """Count answers on new connections, one after the other."""
    answered, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < _WINDOW_SECONDS:
        answered += ask(server.port, get("/livez", "Connection: close")).status == 200
    return answered / passed


@contextmanager
def _kept(server: RunningServer) -> Iterator[None]:
    """Keep connections for the block; those that wait for the worker that stands still are nobody's."""
    with ExitStack() as stack:
        for _ in range(_KEPT):
            stack.enter_context(socket.create_connection((HOST, server.port)))
        yield


def _until_replaced(server: RunningServer, hanging: psutil.Process, since: float) -> float:
    """Wait until another process has taken the place and has inference workers of its own that are ready."""
    while (passed := time.monotonic() - since) < 2 * _REPLACE_SECONDS:
        workers = _http_workers(server)
        is_new = len(workers) == 2 and hanging.pid not in [one.pid for one in workers]
        if is_new and (server.folder / "log").read_text().count("Checkpoint loaded") >= 3:
            return passed
        time.sleep(_POLL_SECONDS)
    return math.inf


def _end(server: RunningServer) -> tuple[float, int | None, int]:
    """Stop a worker, and tell the service to end; return its seconds, its exit code, and the processes left."""
    family = server.processes()
    os.kill(_http_workers(server)[0].pid, signal.SIGSTOP)
    told = time.monotonic()
    server.terminate()
    code = server.wait(_END_SECONDS)
    return time.monotonic() - told, code, len(left_of(family, _PASS_OVER_SECONDS))


def _http_workers(server: RunningServer) -> list[psutil.Process]:
    return [it for it in server.processes() if spawn.__name__ in " ".join(command_of(it))]
