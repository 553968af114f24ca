"""The service as a network of queues: load generator, HTTP process, waiting pictures, inference workers, one machine.

It follows `whisker.app.inference.dispatcher`: a batch is an equal share of what waits when a worker has room, a worker
holds two batches, the second of them full where enough pictures are under way to fill all, and a request that finds all
upload slots taken is refused with 503.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from random import Random

from benchmarks.load import Load
from benchmarks.scale.cores import Cores, Done, Process
from benchmarks.scale.costs import Costs

_HTTP_WEIGHT, _WORKER_WEIGHT = 1024.0, 335.0  # of nice 0 and nice 5, as Linux's scheduler has them
_BEFORE = 0.5  # of what HTTP and the generator need for a request comes before the picture waits, the rest after


@dataclass(frozen=True, slots=True)
class Service:
    """How the simulated service is set up; without a limit of pictures in flight, nothing is refused."""

    cores: int
    inference_workers: int
    max_in_flight: float = 64
    max_batch: int = 4
    batches_held: int = 2  # by a worker, the one that it computes included

    @classmethod
    def on(cls, cores: int) -> "Service":
        """Set it up as `whisker serve` does on so many cores."""
        return cls(cores, cores)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of a simulated load; utilisations are shares of one core (HTTP) and of all cores."""

    load: Load
    http_utilisation: float
    cores_utilisation: float
    mean_batch: float

    @property
    def refused(self) -> float:
        """Give the share of requests that were refused."""
        refused = self.load.errors.get("503", 0)
        return refused / max(1, refused + len(self.load.latencies))


def simulate(
    service: Service, costs: Costs, arrivals: Iterable[float], *, start: float, end: float, seed: int = 0
) -> Simulated:
    """Let requests arrive at these moments, in order; those from `start` to `end` count.

    What batches take is drawn by the `seed`.
    """
    return _Simulation(service, costs, seed).run(arrivals, start=start, end=end)


class _Simulation:
    def __init__(self, service: Service, costs: Costs, seed: int) -> None:
        self._service, self._costs = service, costs
        self._rng = Random(seed)  # noqa: S311 - samples, not secrets
        self._cores = Cores(service.cores, slowdown=costs.slowdown)
        self._generator, self._http = (Process(self._cores, weight=_HTTP_WEIGHT) for _ in range(2))
        self._workers = [Process(self._cores, weight=_WORKER_WEIGHT) for _ in range(service.inference_workers)]
        self._held = [0] * service.inference_workers  # batches of each worker
        self._waiting: deque[tuple[int, float]] = deque()  # numbers of pictures, and when they were due
        self._in_flight = self._batches = self._pictures = 0
        self._computing = 0  # pictures in the workers
        self._answered: list[tuple[float, float]] = []  # due, answered
        self._refused: list[float] = []  # due

    def run(self, arrivals: Iterable[float], *, start: float, end: float) -> Simulated:
        cores = self._cores
        for number, due in enumerate(arrivals):
            while cores.next_end <= due:
                cores.end_next()
            cores.wait_until(due)
            self._send(number, due)
        while cores.next_end < math.inf:
            cores.end_next()
        return self._sum_up(start, end)

    def _send(self, number: int, due: float) -> None:
        before = self._costs.generator * _BEFORE / self._costs.slowdown
        self._generator.do(before, lambda: self._receive(number, due))

    def _receive(self, number: int, due: float) -> None:
        self._http.start(lambda: self._admit(number, due))

    def _admit(self, number: int, due: float) -> tuple[float, Done]:
        """Give a request a slot or refuse it, when it is its turn in the HTTP process."""
        costs = self._costs
        if self._in_flight >= self._service.max_in_flight:
            return costs.refusal / costs.slowdown, lambda: self._refused.append(due)
        self._in_flight += 1
        return costs.http * _BEFORE / costs.slowdown, lambda: self._wait(number, due)

    def _wait(self, number: int, due: float) -> None:
        self._waiting.append((number, due))
        self._dispatch()

    def _dispatch(self) -> None:
        held, service = self._held, self._service
        while self._waiting:
            worker = min(range(len(held)), key=held.__getitem__)
            if held[worker] >= service.batches_held or (held[worker] and self._can_wait):
                return
            idle = held.count(0)
            size = min(math.ceil(len(self._waiting) / max(1, idle)), service.max_batch)
            batch = [self._waiting.popleft() for _ in range(size)]
            self._compute(worker, batch)

    @property
    def _can_wait(self) -> bool:
        """Tell whether the second batch of a worker is to wait until it is full."""
        largest, waiting = self._service.max_batch, len(self._waiting)
        return waiting < largest and waiting + self._computing > largest * len(self._workers)

    def _compute(self, worker: int, batch: list[tuple[int, float]]) -> None:
        self._held[worker] += 1
        self._batches += 1
        self._pictures += len(batch)
        self._computing += len(batch)
        seconds = self._costs.batch_seconds([number for number, _ in batch], self._rng)
        self._workers[worker].do(seconds, lambda: self._computed(worker, batch))

    def _computed(self, worker: int, batch: list[tuple[int, float]]) -> None:
        self._held[worker] -= 1
        self._computing -= len(batch)
        self._dispatch()
        costs = self._costs
        for _, due in batch:
            self._http.do(costs.http * (1 - _BEFORE) / costs.slowdown, partial(self._answer, due))

    def _answer(self, due: float) -> None:
        self._in_flight -= 1
        after = self._costs.generator * (1 - _BEFORE) / self._costs.slowdown
        self._generator.do(after, lambda: self._answered.append((due, self._cores.now)))

    def _sum_up(self, start: float, end: float) -> Simulated:
        latencies = tuple(sorted(until - due for due, until in self._answered if start <= due < end))
        refused = sum(start <= due < end for due in self._refused)
        errors = {"503": refused} if refused else {}
        slowdown, passed = self._costs.slowdown, self._cores.now
        return Simulated(
            Load(end - start, latencies, errors, math.nan, math.nan),
            http_utilisation=self._http.cpu_seconds * slowdown / passed,
            cores_utilisation=self._cores.busy_seconds / passed / self._service.cores,
            mean_batch=self._pictures / max(1, self._batches),
        )
