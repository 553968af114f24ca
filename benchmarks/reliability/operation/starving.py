"""A process that speaks HTTP and may open no more files, while inference workers end."""

import http.client
import math
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST
from benchmarks.reliability.commands import inference_workers
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding

_ALARM_SECONDS = 15.0  # until /livez fails
_BACK_SECONDS = 10.0  # until all workers are there, once files can be opened again
_POLL_SECONDS = 0.1


def replace_workers_at_any_cost(_server: RunningServer, trial: Trial) -> list[Finding]:
    """Take the service's files away, kill an inference worker, look at what is said, and give the files back."""
    with trial.start() as server:
        service = server.processes()[0]
        operator = http.client.HTTPConnection(HOST, server.port, timeout=_ALARM_SECONDS)
        _ask(operator, "/livez")  # over a connection that it keeps: there will be no other
        wanted = _metric(operator, "whisker_inference_workers_wanted")
        with _no_more_files(service):
            inference_workers(service)[0].kill()
            alarm = _until(lambda: _ask(operator, "/livez")[0] == 503, _ALARM_SECONDS)
            present = _metric(operator, "whisker_inference_workers")
            ready = _ask(operator, "/readyz")[0]
        back = _until(lambda: _metric(operator, "whisker_inference_workers") == wanted, 3 * _BACK_SECONDS)
        alive = _ask(operator, "/livez")[0]
        operator.close()
    return [
        Finding("inference workers wanted", wanted),
        Finding("present while none can be started", present, target=wanted - 1, better="same"),
        Finding("seconds until /livez fails", alarm, "s", _ALARM_SECONDS),
        Finding("/readyz meanwhile, as the others answer", ready, target=200 if wanted > 1 else 503, better="same"),
        Finding("seconds until all are back", back, "s", _BACK_SECONDS),
        Finding("/livez then", alive, target=200, better="same"),
    ]


@contextmanager
def _no_more_files(service: psutil.Process) -> Iterator[None]:
    before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (service.num_fds(), before[1]))
    try:
        yield
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)


def _ask(operator: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    operator.request("GET", path)
    answer = operator.getresponse()
    return answer.status, answer.read().decode()


def _metric(operator: http.client.HTTPConnection, name: str) -> float:
    lines = _ask(operator, "/metrics")[1].splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), math.nan)


def _until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition; return the seconds it took, infinity if it did not come."""
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        if condition():
            return passed
        time.sleep(_POLL_SECONDS)
    return math.inf
