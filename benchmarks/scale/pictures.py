"""What decoding and the network cost a core, with all cores busy and with one: no HTTP, no queue."""

import multiprocessing
import queue
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import fmean

from benchmarks.errors import BenchmarkError
from whisker.model import Classifier
from whisker.model.cores import available_cores
from whisker.model.engines.device import use_available_cores

_LOAD_SECONDS = 120.0
_END_SECONDS = 10.0  # that a process may take to clean up


@dataclass(frozen=True, slots=True)
class PictureCosts:
    """CPU seconds for each photo to decode, and samples for a batch of each size."""

    decode: tuple[float, ...]
    inference: Mapping[int, tuple[float, ...]]

    @property
    def each(self) -> float:
        """Give the mean CPU seconds for a picture, in the largest batches."""
        largest = max(self.inference)
        return fmean(self.decode) + fmean(self.inference[largest]) / largest


@dataclass(frozen=True, slots=True)
class _Job:
    checkpoint: Path
    photos: Sequence[bytes]
    processes: int
    max_batch: int
    seconds: float


def measure_pictures(
    checkpoint: Path, photos: Sequence[bytes], *, processes: int, max_batch: int, seconds: float
) -> PictureCosts:
    """Measure in so many processes at once, for `seconds` after each has warmed up; give what the first one found.

    Raises `BenchmarkError` if one of them fails.
    """
    context = multiprocessing.get_context("spawn")
    ready, found = context.Barrier(processes), context.Queue()
    job = _Job(checkpoint, photos, processes, max_batch, seconds)
    workers = [context.Process(target=_work, args=(job, ready, found), daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        measured: list[PictureCosts] = [found.get(timeout=_LOAD_SECONDS + seconds) for _ in workers]
        for worker in workers:
            worker.join(_END_SECONDS)
        return measured[0]
    except queue.Empty as exc:
        raise BenchmarkError("The cost of a picture could not be measured: a process has failed, see above.") from exc
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(job: _Job, ready: Barrier, found: "Queue[PictureCosts]") -> None:
    use_available_cores(available_cores())  # one thread, however many processes there are
    classifier = Classifier.load(job.checkpoint)
    ready.wait(_LOAD_SECONDS)  # a process that loads must not slow down one that is timed
    end = time.perf_counter() + job.seconds
    decoding: list[list[float]] = [[] for _ in job.photos]
    inference: dict[int, list[float]] = {size: [] for size in range(1, job.max_batch + 1)}
    position, size = 0, 1
    while time.perf_counter() < end or not (all(decoding) and all(inference.values())):
        pixels = []
        for _ in range(size):
            started = time.process_time()
            pixels.append(classifier.preprocessing.decode(job.photos[position]))
            decoding[position].append(time.process_time() - started)
            position = (position + 1) % len(job.photos)
        started = time.process_time()
        classifier.predict_pixels(pixels)
        inference[size].append(time.process_time() - started)
        size = size % job.max_batch + 1
    found.put(PictureCosts(tuple(map(fmean, decoding)), {n: tuple(taken) for n, taken in inference.items()}))
