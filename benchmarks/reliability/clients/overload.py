"""R8: more requests than can be answered, arriving whether or not others are."""

import time

from benchmarks.connections import Target
from benchmarks.load import Load, run_closed
from benchmarks.process import RunningServer
from benchmarks.reliability.client import get
from benchmarks.reliability.flood import NICENESS, flood
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import Probe, Probes, probing
from benchmarks.reliability.scoreboard import Finding, percentile

_GOODPUT = {2: 90, 5: 80, 10: 70}  # percent of the peak that must still be answered at so many times the peak
_PEAK_CONNECTIONS = 16
_WARM_UP_SECONDS = 1.0
_AFTER_SECONDS = 3.0  # that the honest client goes on when the load has ended
_NORMAL = 2.0  # times the idle p99: an answer within that is normal again


def keep_answering_under_overload(server: RunningServer, trial: Trial) -> list[Finding]:
    """Offer 2, 5 and 10 times the peak, beside a client that uploads and one that asks `/health`."""
    trial.warm_up(server)
    peak = find_peak(server, trial)
    with probing(server.port, trial.requests[0]) as idle:
        time.sleep(trial.plan.idle_seconds)
    findings = [Finding("peak", peak, "answers/s", detail=f"{_PEAK_CONNECTIONS} connections")]
    findings.append(Finding("idle p99", idle.p99_ms(), "ms"))
    for multiple in _GOODPUT:
        findings += _overload(server, trial, multiple, peak, idle)
    return findings


def find_peak(server: RunningServer, trial: Trial) -> float:
    """Measure the most answers a second, in a closed loop."""
    target = Target(server.port, trial.requests)
    load = run_closed(
        target,
        _PEAK_CONNECTIONS,
        warm_up=_WARM_UP_SECONDS,
        seconds=trial.plan.load_seconds,
        server_cpu=server.cpu_seconds,
    )
    return load.rate


def _overload(server: RunningServer, trial: Trial, multiple: int, peak: float, idle: Probes) -> list[Finding]:
    goodput = _GOODPUT[multiple]
    target, port = Target(server.port, trial.requests), server.port
    with probing(port, get("/health")) as health, probing(port, trial.requests[0]) as uploads:
        load = flood(target, multiple * peak, warm_up=_WARM_UP_SECONDS, seconds=trial.plan.load_seconds)
        ended = time.perf_counter()
        time.sleep(_AFTER_SECONDS)
    during = Probes([probe for probe in health.all if probe.sent <= ended])
    shed = uploads.of(503)
    bare = sum(not probe.retry_after for probe in shed)
    p99 = 1000 * percentile([probe.until - probe.sent for probe in shed if probe.sent <= ended], 99) if shed else 0.0
    normal = _seconds_until_normal(uploads.all, ended, _NORMAL * idle.p99_ms() / 1000)
    name = f"{multiple} times"
    return [
        Finding(f"{name}: goodput, of the peak", 100 * load.rate / peak, "%", goodput, "more", _describe(load)),
        Finding(f"{name}: shed answers' p99", p99, "ms", 50, detail=f"{len(shed)} of the honest client's uploads"),
        Finding(f"{name}: shed without Retry-After", bare, target=0, detail=f"of {len(shed)} that were looked at"),
        Finding(f"{name}: /health p99", during.p99_ms(), "ms", 50),
        Finding(f"{name}: /health not 200", during.failures(), target=0, detail=f"of {len(during.all)}"),
        Finding(f"{name}: normal again after", normal, "s", 1),
    ]


def _seconds_until_normal(uploads: list[Probe], ended: float, normal: float) -> float:
    """Give the seconds from the load's end to the end of the last upload that was refused or slow."""
    slow = [probe.until for probe in uploads if probe.status != 200 or probe.until - probe.sent > normal]
    last = uploads[-1].until
    return float("inf") if slow and slow[-1] == last else max(0.0, max(slow, default=ended) - ended)


def _describe(load: Load) -> str:
    errors = "".join(f", {count} x {status}" for status, count in sorted(load.errors.items()))
    offered = (len(load.latencies) + sum(load.errors.values())) / load.seconds
    share = load.generator_cpu / load.seconds
    return f"{load.rate:.0f} of {offered:.0f}/s{errors}; the generator, at nice {NICENESS}, took {share:.0%} of a core"
