"""Micro-batches: one thread answers for whatever pictures are waiting, and never waits for more.

While the network computes one batch, the next one gathers by itself; an idle service answers at once.
"""

import asyncio
import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from app.errors import InferenceFailedError
from app.jobs import Job, Outcome, settle
from app.metrics import Metrics
from model.classifier import Classifier, Prediction
from model.preprocessing import Picture

_JOIN_SECONDS = 5.0  # a batch takes milliseconds; a thread that hangs must not keep the process from ending

_Item = tuple[Job, Picture]

logger = logging.getLogger(__name__)


class Batcher:
    """Own the inference thread, and in it the classifier: loaded, warmed up and used by that one thread.

    The queue needs no bound of its own: only admitted uploads come to it.
    """

    def __init__(
        self, load: Callable[[], Classifier], *, max_batch: int, max_batch_seconds: float, metrics: Metrics
    ) -> None:
        self._load = load
        self.max_batch = max_batch
        self._max_batch_seconds = max_batch_seconds
        self._metrics = metrics
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()  # None: no more will come
        self._thread: Thread | None = None
        self._busy_since: float | None = None
        self._closing = False

    async def start(self) -> Classifier:
        """Load the classifier in the inference thread and return it, to be read but not called.

        Raises what loading raises.
        """
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[Classifier] = loop.create_future()
        self._thread = Thread(target=self._run, args=(loop, loaded), name="inference", daemon=True)
        self._thread.start()
        return await loaded

    async def close(self) -> None:
        """Answer for what is queued, take no more, and end the thread."""
        self._closing = True
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _JOIN_SECONDS)

    @property
    def is_running(self) -> bool:
        """Tell whether a picture put in the queue will be answered for."""
        return not self._closing and self._thread is not None and self._thread.is_alive()

    def is_stalled(self, seconds: float) -> bool:
        """Tell whether one batch has been computing for more than `seconds`."""
        busy_since = self._busy_since
        return busy_since is not None and time.perf_counter() - busy_since > seconds

    def put(self, job: Job, picture: Picture) -> None:
        """Classify a decoded upload in the next batch; cancelling its answer before drops it.

        The answer is an `InferenceFailedError` if the network fails for this very picture.
        """
        self._metrics.queue_depth.inc()
        self._queue.put((job, picture))

    def _run(self, loop: asyncio.AbstractEventLoop, loaded: asyncio.Future[Classifier]) -> None:
        try:
            classifier = self._load()
        except Exception as exc:  # noqa: BLE001 - carried to `start`, which raises it
            loop.call_soon_threadsafe(settle, loaded, exc)
            return
        self._bound(classifier.batch_seconds)
        loop.call_soon_threadsafe(settle, loaded, classifier)
        while batch := self._next_batch():
            self._metrics.queue_depth.dec(len(batch))
            wanted = [(job, picture) for job, picture in batch if not job.is_dropped]
            if wanted:
                self._busy_since = started = time.perf_counter()
                for job, _ in wanted:
                    job.starts(started)
                answers = self._answer(classifier, [picture.pixels for _, picture in wanted])
                self._busy_since = None
                loop.call_soon_threadsafe(_deliver, wanted, answers, time.perf_counter() - started)

    def _bound(self, seconds: Mapping[int, float]) -> None:
        """Keep batches small enough for the latency wanted, as far as the seconds that sizes took at warm-up tell."""
        fast = [size for size in seconds if seconds[size] <= self._max_batch_seconds]
        if len(fast) < len(seconds):
            self.max_batch = min(self.max_batch, max(fast, default=1))
        logger.info("Batches bounded", extra={"max_batch": self.max_batch})

    def _next_batch(self) -> list[_Item]:
        """Wait for a picture, then take what else is there; an empty list is the end."""
        batch: list[_Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == self.max_batch:
                return batch
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch
        self._queue.put(None)  # seen again after this batch
        return batch

    def _answer(
        self, classifier: Classifier, pictures: Sequence[NDArray[np.uint8]]
    ) -> list[Prediction | InferenceFailedError]:
        """Classify a batch; if that fails, each picture alone, so that none fails for its neighbour."""
        self._metrics.batches.observe(len(pictures))
        try:
            return [*classifier.predict_pixels(pictures)]
        except Exception as exc:  # a failure of any kind must cost one answer, not the thread
            if len(pictures) > 1:
                return [outcome for picture in pictures for outcome in self._answer(classifier, [picture])]
            logger.exception("Inference failed")
            failure = InferenceFailedError("The network could not answer for this picture.")
            failure.__cause__ = exc
            return [failure]


def _deliver(items: Sequence[_Item], answers: Sequence[Prediction | InferenceFailedError], seconds: float) -> None:
    """Hand each job its outcome, on the event loop: one wake-up a batch."""
    for (job, picture), answer in zip(items, answers, strict=True):
        if isinstance(answer, Exception):
            settle(job.answer, answer)
        else:
            settle(job.answer, Outcome(answer, picture, job.decode_seconds, job.queue_seconds, seconds))
