"""The in-process limit: what decoding and the network give on all cores with nothing in between, no HTTP, no queue."""

import multiprocessing
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.errors import BenchmarkError
from whisker.model import Classifier
from whisker.model.cores import available_cores
from whisker.model.engines.device import use_available_cores

_BATCH = 8
_LOAD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Job:
    checkpoint: Path
    photos: Sequence[bytes]
    device: str
    processes: int
    warm_up: float
    seconds: float


def measure_limit(
    checkpoint: Path,
    photos: Sequence[bytes],
    *,
    warm_up: float,
    seconds: float,
    device: str = "cpu",
    processes: int | None = None,
) -> float:
    """Give the photos a second that processes decode and classify together, in batches of 8: one a core unless told."""
    processes = processes or available_cores()
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(processes), context.Queue()
    job = _Job(checkpoint, photos, device, processes, warm_up, seconds)
    workers = [context.Process(target=_work, args=(job, ready, rates), daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        measured: list[float] = [rates.get(timeout=_LOAD_SECONDS + warm_up + seconds) for _ in workers]
        return sum(measured)
    except queue.Empty as exc:
        raise BenchmarkError("The in-process limit could not be measured: a process has failed, see above.") from exc
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(job: _Job, ready: Barrier, rates: "Queue[float]") -> None:
    use_available_cores(job.processes)
    classifier = Classifier.load(job.checkpoint, job.device)
    ready.wait(_LOAD_SECONDS)  # a process that loads must not slow down one that is timed
    begin = start = time.perf_counter()
    answered = 0
    for batch in count():
        now = time.perf_counter()
        if now - begin < job.warm_up:
            start, answered = now, 0
        elif now - start >= job.seconds:
            break
        chosen = [job.photos[(batch * _BATCH + index) % len(job.photos)] for index in range(_BATCH)]
        classifier.predict_pixels([classifier.preprocessing.decode(photo) for photo in chosen])
        answered += _BATCH
    rates.put(answered / (time.perf_counter() - start))
