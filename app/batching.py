"""Micro-batches: one thread answers for whatever pictures are waiting, and never waits for more.

While the network computes one batch, the next one gathers by itself; an idle service answers at once.
"""

import asyncio
import logging
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import InferenceFailedError, NotReadyError
from app.metrics import Metrics
from model.classifier import Classifier, Prediction

_JOIN_SECONDS = 5.0  # a batch takes milliseconds; a thread that hangs must not keep the process from ending

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batched:
    """A picture's answer; seconds it waited, and seconds its batch took."""

    prediction: Prediction
    queue_seconds: float
    inference_seconds: float


@dataclass(slots=True)
class _Item:
    pixels: NDArray[np.uint8]
    answer: asyncio.Future[Batched]
    queued_at: float = field(default_factory=time.perf_counter)


class Batcher:
    """Own the inference thread, and in it the classifier: loaded, warmed up and used by that one thread.

    The queue needs no bound of its own: each admitted upload puts at most one picture in it.
    """

    def __init__(self, load: Callable[[], Classifier], *, max_batch: int, metrics: Metrics) -> None:
        self._load = load
        self._max_batch = max_batch
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

    async def predict(self, pixels: NDArray[np.uint8]) -> Batched:
        """Classify one decoded picture; cancelling this before its batch begins drops the picture.

        Raises `InferenceFailedError` if the network fails for this very picture, `NotReadyError` if none is there.
        """
        if not self.is_running:
            raise NotReadyError("The service is starting or stopping; try again soon.")
        item = _Item(pixels, asyncio.get_running_loop().create_future())
        self._metrics.queue_depth.inc()
        self._queue.put(item)
        return await item.answer

    def _run(self, loop: asyncio.AbstractEventLoop, loaded: asyncio.Future[Classifier]) -> None:
        try:
            classifier = self._load()
        except Exception as exc:  # noqa: BLE001 - carried to `start`, which raises it
            loop.call_soon_threadsafe(_settle, loaded, exc)
            return
        loop.call_soon_threadsafe(_settle, loaded, classifier)
        while batch := self._next_batch():
            self._metrics.queue_depth.dec(len(batch))
            # A cancelled future is a client who left or a deadline that passed.
            items = [item for item in batch if not item.answer.cancelled()]
            if items:
                self._busy_since = started = time.perf_counter()
                outcomes = self._answer(classifier, [item.pixels for item in items])
                self._busy_since = None
                seconds = time.perf_counter() - started
                loop.call_soon_threadsafe(_deliver, items, outcomes, started, seconds)

    def _next_batch(self) -> list[_Item]:
        """Wait for a picture, then take what else is there; an empty list is the end."""
        batch: list[_Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == self._max_batch:
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


def _deliver(
    items: Sequence[_Item], outcomes: Sequence[Prediction | InferenceFailedError], started: float, seconds: float
) -> None:
    """Hand each item its outcome, on the event loop: one wake-up a batch."""
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, Exception):
            _settle(item.answer, outcome)
        else:
            _settle(item.answer, Batched(outcome, started - item.queued_at, seconds))


def _settle(future: asyncio.Future[T], outcome: T | Exception) -> None:
    """Resolve `future`, unless whoever waited for it has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
