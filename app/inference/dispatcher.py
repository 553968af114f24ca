"""Which worker gets which of the waiting pictures next, and when, and what comes of its answer.

An upload never waits for others: a batch is whatever waits when a worker is free. Where uploads are many, a busy
worker's next batch is a full one.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence

from pydantic_core import from_json

from whisker.app.errors import OverloadedError
from whisker.app.inference.requests import PendingPrediction, PredictionResult, set_result_if_waiting
from whisker.app.inference.results import read_results
from whisker.app.inference.waiting import LARGE_BYTES, WaitingPictures, has_large
from whisker.app.inference.worker_handle import WorkerHandle
from whisker.app.metrics import Metrics
from whisker.model.errors import HeavyPictureError, SlowPictureError

_MAX_BATCHES = 2  # that a worker holds: the next one is there when one is done
_LONE_AT_FIRST = 4  # pictures that came while nothing else was under way, before the next one is taken for a lone one

logger = logging.getLogger(__name__)


class Dispatcher:
    """Hand waiting pictures to workers that have room, a few at a time, and take their answers.

    `workers` are those there are at any time. `largest_batch` gives the most pictures of a batch for the model of a
    slot. `max_heavy` as for `WaitingPictures`.
    """

    def __init__(
        self, workers: Sequence[WorkerHandle], largest_batch: Callable[[int], int], metrics: Metrics, *, max_heavy: int
    ) -> None:
        self._waiting = WaitingPictures(max_heavy, metrics.queue_depth.inc)
        self._workers = workers
        self._largest_batch = largest_batch
        self._on_batch = metrics.batches.observe
        self._was_heavy = False  # what was sent last
        self._alone_in_a_row = 0  # pictures that were sent while nothing else was under way
        self._is_due = False

    @property
    def waiting(self) -> int:
        """Count the pictures that no worker has."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Tell whether a picture waits, or a worker has one."""
        return bool(self._waiting) or any(worker.batches for worker in self._workers)

    def put(self, pending: PendingPrediction) -> None:
        """Queue a picture; all that come at the same time are dispatched together."""
        self._waiting.put(pending)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.dispatch)

    def put_again(self, pictures: Sequence[PendingPrediction]) -> None:
        """Queue pictures whose worker has ended, ahead of the others."""
        for pending in reversed(pictures):
            self._waiting.put(pending, at_once=True)
        self.dispatch()

    def take_answer(self, worker: WorkerHandle, document: bytes, drawings: Sequence[bytes]) -> None:
        """Give each picture of a worker's oldest batch its result, after the worker has got its next batch."""
        try:
            results = read_results(worker.batches[0], from_json(document), drawings)
        except (LookupError, TypeError, ValueError):
            logger.exception(
                "An inference worker has answered what it was not asked", extra={"inference_worker": worker.pid}
            )
            worker.kill()
            return
        batch = worker.pop_answered()
        if batch[0].is_heavy and isinstance(results[0], PredictionResult):
            self._waiting.note_heavy(results[0].decode_seconds)
        settled = [self._keep_heavy(one, result) for one, result in zip(batch, results, strict=True)]
        self.dispatch()
        for pending, result in zip(batch, settled, strict=True):
            if result is not None:
                set_result_if_waiting(pending.result, result)

    def dispatch(self) -> None:
        """Send what waits, as far as workers have room for it."""
        self._is_due = False
        while free := [worker for worker in self._workers if _has_room(worker)]:
            worker = min(free, key=_batch_count)
            if self._may_send_heavy():
                self._send(worker, [self._waiting.take_heavy()])
                continue
            if not self._waiting.light or (worker.batches and self._can_wait):
                return
            idle = sum(not worker.batches for worker in free)
            share = math.ceil(self._waiting.light / max(1, idle))
            if batch := self._waiting.take(min(share, self._largest_next)):
                self._send(worker, batch)

    def _keep_heavy(
        self, pending: PendingPrediction, result: PredictionResult | Exception
    ) -> PredictionResult | Exception | None:
        """Queue a picture again that turned out to be heavy; return the result of any other."""
        if not isinstance(result, HeavyPictureError):
            return result
        pending.is_large = not isinstance(result, SlowPictureError)
        try:
            self._waiting.put_heavy(pending, sum(worker.has_heavy_upload for worker in self._workers))
        except OverloadedError as exc:
            return exc
        return None

    @property
    def _can_wait(self) -> bool:
        """Tell whether a busy worker gets its next batch later: pictures that came in company leave it to single ones.

        Those wait until they fill it, where enough are under way to fill the batches of all workers: docs/adr/0039.
        """
        if self._waiting.is_company_next:
            return True
        under_way = self._waiting.light + sum(worker.pictures for worker in self._workers)
        return self._waiting.light < self._largest_next and under_way > self._largest_next * len(self._workers)

    @property
    def _largest_next(self) -> int:
        """Give the largest batch for the model of the next light picture, which must be there."""
        return self._largest_batch(self._waiting.next_slot)

    def _may_send_heavy(self) -> bool:
        """Tell whether a heavy picture is next: one worker is left to light ones or, if it is the only one, in turn."""
        pending = self._waiting.heavy
        if pending is None:
            return False
        busy = [worker for worker in self._workers if worker.has_heavy]
        if len(self._workers) == 1:
            return not busy and not (self._was_heavy and self._waiting.light)
        is_alone = not (pending.is_large and any(has_large(batch) for worker in busy for batch in worker.batches))
        return len(busy) < len(self._workers) - 1 and is_alone

    def _send(self, worker: WorkerHandle, batch: list[PendingPrediction]) -> None:
        self._was_heavy = batch[0].is_heavy
        self._on_batch(len(batch))
        is_by_itself = len(batch) == 1 and not batch[0].is_heavy and not self.is_busy
        self._alone_in_a_row = self._alone_in_a_row + 1 if is_by_itself else 0
        worker.send(batch, is_lone=self._alone_in_a_row > _LONE_AT_FIRST)


def _has_room(worker: WorkerHandle) -> bool:
    has_time = not (worker.has_heavy or worker.is_loading)
    most = 1 if worker.is_opening else _MAX_BATCHES  # it is slow meanwhile, and what is sent ahead would wait in it
    return len(worker.batches) < most and worker.bytes < LARGE_BYTES and has_time


def _batch_count(worker: WorkerHandle) -> int:
    return len(worker.batches)
