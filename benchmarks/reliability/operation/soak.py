"""R11: ordinary work for a long time, a tenth of it hostile."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.connections import Target
from benchmarks.http import form_request
from benchmarks.load import run_open
from benchmarks.process import RunningServer
from benchmarks.reliability.clients.overload import find_peak
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.uploads.hostile import damaged
from benchmarks.reliability.watch import count_descriptors, count_threads, process_ids

_LOAD_SHARE = 0.5  # of the peak
_SLICE_SECONDS = 5.0  # of load between two readings
_WARM_UP_SHARE = 0.25  # of the time, whose readings do not count
_HOSTILE = 200
_SEED = 2


@dataclass(frozen=True, slots=True)
class _Reading:
    minutes: float
    rss_mb: float
    descriptors: int
    threads: int


def stay_the_same(server: RunningServer, trial: Trial) -> list[Finding]:
    """Load the server at half its peak, every tenth picture damaged, and read memory, descriptors and threads."""
    trial.warm_up(server)
    rate, processes = _LOAD_SHARE * find_peak(server, trial), process_ids(server)
    hostile = [form_request("/predict", data) for data in damaged(trial.photos, _HOSTILE, _SEED)]
    requests = [
        hostile[number // 10 % _HOSTILE] if number % 10 == 9 else trial.requests[number % len(trial.photos)]
        for number in range(10 * _HOSTILE)
    ]
    started, failures, readings = time.perf_counter(), 0, list[_Reading]()
    while (elapsed := time.perf_counter() - started) < trial.plan.soak_seconds:
        load = run_open(
            Target(server.port, requests),
            rate,
            warm_up=0,
            seconds=_SLICE_SECONDS,
            server_cpu=server.cpu_seconds,
            seed=len(readings),
        )
        failures += sum(number for status, number in load.errors.items() if not status.startswith("4"))
        readings.append(_read(server, elapsed / 60))
    return _findings(readings, rate, failures, len(processes - process_ids(server)))


def _read(server: RunningServer, minutes: float) -> _Reading:
    return _Reading(minutes, server.rss_mb(), count_descriptors(server), count_threads(server))


def _findings(readings: list[_Reading], rate: float, failures: int, died: int) -> list[Finding]:
    kept = readings[int(_WARM_UP_SHARE * len(readings)) :]
    minutes = [reading.minutes for reading in kept]
    slope = float(np.polyfit(minutes, [reading.rss_mb for reading in kept], 1)[0]) if len(kept) > 1 else float("nan")
    first, last = kept[0], kept[-1]
    return [
        Finding("load", rate, "requests/s", detail=f"for {readings[-1].minutes:.1f} minutes"),
        Finding("neither 200 nor 4xx", failures, target=0),
        Finding("memory's slope", slope, "MB/min", 1, detail=f"{first.rss_mb:.0f} to {last.rss_mb:.0f} MB"),
        Finding("threads added", last.threads - first.threads, target=0, detail=f"{last.threads} at the end"),
        Finding(
            "descriptors added", last.descriptors - first.descriptors, target=0, detail=f"{last.descriptors} at the end"
        ),
        Finding("processes that died", died, target=0),
    ]
