"""What a request costs the real service's processes, from their own CPU clocks."""

import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import psutil

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.http import form_request
from benchmarks.load import Load, run_closed, run_open
from benchmarks.process import RunningServer, running
from benchmarks.scale.costs import Costs
from benchmarks.scale.pictures import PictureCosts
from benchmarks.servers import WHISKER

MAX_BATCH = 4  # the setting's default, and so what `whisker serve` does here
WORKER = "whisker.app.inference.worker"  # on the command line of an inference worker
PEAK_CONNECTIONS = 32  # enough to keep all workers busy, and few enough that nothing is refused
_EASE, _EASE_SEED = 0.6, 1_000  # share of the peak at which the load generator's own cost is measured
_REFUSING = replace(WHISKER, command=(*WHISKER.command, "--max-in-flight", "1"))
_BATCHES = {"whisker_batch_size_sum": "pictures", "whisker_batch_size_count": "batches"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all measurements."""

    python: str
    checkpoint: Path
    photos: Sequence[bytes]
    warm_up: float
    seconds: float
    say: Say

    def target(self, server: RunningServer) -> Target:
        """Build the requests that are sent to a server in turn."""
        return Target(server.port, [form_request(WHISKER.path, photo) for photo in self.photos])


@dataclass(slots=True)
class Meter:
    """Read, at each call, the CPU seconds of HTTP process, inference workers and the whole machine, and the batches."""

    server: RunningServer
    readings: list[dict[str, float]] = field(default_factory=list)

    def __call__(self) -> float:
        taken = {"http": 0.0, "worker": 0.0}
        for process in self.server.processes():
            with suppress(psutil.NoSuchProcess):
                role = "worker" if WORKER in process.cmdline() else "http"
                taken[role] += sum(process.cpu_times()[:2])
        times = psutil.cpu_times()
        machine = {"machine": times.user + times.nice + times.system + times.irq + times.softirq}
        self.readings.append(taken | machine | _batches(self.server))
        return taken["http"] + taken["worker"]

    def since_last(self, what: str) -> float:
        """Give how much was added between the last two calls."""
        return self.readings[-1][what] - self.readings[-2][what]


def _batches(server: RunningServer) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        rows = [line.split() for line in answer.read().decode().splitlines()]
    return {_BATCHES[row[0]]: float(row[1]) for row in rows if row[0] in _BATCHES}


@dataclass(frozen=True, slots=True)
class ServiceCosts:
    """CPU seconds a request, at the peak of `rate` answers a second; `generator` is the load generator's."""

    rate: float
    http: float
    worker: float
    generator: float
    mean_batch: float


def measure_service(server: RunningServer, setting: Setting) -> ServiceCosts:
    """Measure the peak in a closed loop, and the generator in an open one, as it is used later."""
    meter, target = Meter(server), setting.target(server)
    peak = run_closed(target, PEAK_CONNECTIONS, warm_up=setting.warm_up, seconds=setting.seconds, server_cpu=meter)
    answers = _count(peak)
    http, worker = meter.since_last("http") / answers, meter.since_last("worker") / answers
    mean_batch = meter.since_last("pictures") / max(1.0, meter.since_last("batches"))
    rate = _EASE * peak.rate
    ease = run_open(target, rate, warm_up=1.0, seconds=setting.seconds, server_cpu=meter, seed=_EASE_SEED)
    return ServiceCosts(peak.rate, http, worker, ease.generator_cpu / _count(ease), mean_batch)


def measure_refusal(setting: Setting, http: float) -> float:
    """Measure the HTTP process' CPU seconds for a refusal, with a service that answers one picture at a time."""
    with running(_REFUSING, setting.python, setting.checkpoint, setting.photos[0]) as server:
        meter = Meter(server)
        load = run_closed(
            setting.target(server), PEAK_CONNECTIONS, warm_up=1.0, seconds=setting.seconds, server_cpu=meter
        )
    refused = load.errors.get("503", 0)
    if not refused:
        raise BenchmarkError(f"A service for one picture at a time refused none: {load.errors}.")
    return max(0.0, meter.since_last("http") - http * len(load.latencies)) / refused


def costs_of(service: ServiceCosts, refusal: float, alone: PictureCosts, together: PictureCosts) -> Costs:
    """Put together what was measured of the service, and of pictures with one core busy and with all."""
    size = max(1, min(MAX_BATCH, round(service.mean_batch)))
    in_process = fmean(together.decode) + fmean(together.inference[size]) / size
    return Costs(
        http=service.http,
        refusal=refusal,
        generator=service.generator,
        worker_overhead=max(0.0, service.worker - in_process),
        decode=together.decode,
        inference=together.inference,
        slowdown=max(1.0, together.each / alone.each),
    )


def _count(load: Load) -> int:
    if not load.latencies:
        raise BenchmarkError(f"The service answered nothing under load: {load.errors}.")
    return len(load.latencies)
