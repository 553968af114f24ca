"""Lanes, seen from the service: uploads go to whichever process is free, a few at a time.

A lane decodes a batch and computes its answers on one core while the others do the same on theirs; the service itself
only speaks HTTP. A lone upload never waits for company: a batch is whatever waits when a lane is free.
"""

import asyncio
import logging
import math
import multiprocessing
import os
import time
from base64 import b64decode
from collections import deque
from dataclasses import replace
from itertools import chain
from typing import Any

from pydantic_core import from_json

from whisker.app.errors import InferenceFailedError
from whisker.app.inference.requests import Job, Outcome, settle
from whisker.app.inference.worker import Order
from whisker.app.inference.worker_handle import LaneProcess, revive
from whisker.app.metrics import Metrics
from whisker.app.settings import Settings
from whisker.model.cores import available_cores
from whisker.model.errors import CheckpointError, HeavyPictureError, PictureError, UndecodablePictureError, WhiskerError

_MAX_ON_A_GPU = 4  # lanes; each has a context of its own there, and four give more than one service can pass on
_AHEAD = 2  # batches that a lane is given: the next is there when one is done
_LARGE_BYTES = 500_000  # a lane that has so many gets no more: large pictures go one by one to whoever is free
_CLOSE_SECONDS = 5.0  # that lanes have to answer for what they have
_RETRY_SECONDS = 0.5  # before a lane that could not start is started again
_WATCHES = 10  # looks at the lanes in the time after which one counts as stalled

logger = logging.getLogger(__name__)


class Lanes:
    """Own the processes, hand them uploads, and replace those that end. Belongs to one event loop.

    The queue needs no bound of its own: only admitted uploads come to it.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._stall_seconds = settings.stall_seconds
        self._max_batch_seconds = settings.max_batch_seconds
        self.count = settings.lanes or available_cores()
        self.max_batch = settings.max_batch
        self._order = Order(
            checkpoint=settings.checkpoint,
            device=settings.device,
            engine=settings.engine,
            threads=settings.threads or max(1, available_cores() // self.count),
            max_batch=settings.max_batch,
            max_pixels=settings.max_pixels,
            log_format=settings.log_format,
            log_level=settings.log_level,
            worker=None if multiprocessing.parent_process() is None else os.getpid(),
        )
        self._sha256 = ""  # of the checkpoint that the first lane has loaded
        self._lanes: list[LaneProcess] = []
        self._waiting: deque[Job] = deque()
        self._heavy: deque[Job] = (
            deque()
        )  # waiting, too: pictures that need so much memory that one is decoded at a time
        self._empty_since: float | None = None  # when the last lane ended
        self._dispatches = False
        self._started = False
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> dict[str, Any]:
        """Load the checkpoint, start all lanes, and return what `whisker.app.inference.worker` tells of the checkpoint.

        Raises what loading raises.
        """
        first = LaneProcess(self._answered, self._lost)
        ready, portable = await first.open(self._order)
        card: dict[str, Any] = ready["card"]
        self._sha256 = card["sha256"]
        self._order = replace(self._order, engine=card["engine"], portable=portable or None)
        if card["device"] != "cpu":
            self.count = min(self.count, _MAX_ON_A_GPU)
        if portable:  # the others need no PyTorch, and this one has had its use
            await first.end(0)
        else:
            self._add(first, ready)
        opened = [self._open() for _ in range(self.count - len(self._lanes))]
        for failure in await asyncio.gather(*opened, return_exceptions=True):
            if failure is not None:
                raise failure
        self._keep(self._watch())
        self._started = True
        return card

    async def close(self) -> None:
        """Answer for what is queued, take no more, and end the processes."""
        self._closing = True
        deadline = time.perf_counter() + _CLOSE_SECONDS
        while self._is_busy and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        ended, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.end(_CLOSE_SECONDS) for lane in ended))

    @property
    def is_running(self) -> bool:
        """Tell whether an upload put in the queue will be answered for: also if all lanes have just ended."""
        return self._started and not self._closing and not self.are_gone(self._stall_seconds)

    @property
    def pids(self) -> list[int]:
        """List the processes that are ready to answer."""
        return [lane.pid for lane in self._lanes]

    @property
    def _is_busy(self) -> bool:
        return bool(self._waiting or self._heavy or any(lane.batches for lane in self._lanes))

    def are_gone(self, seconds: float) -> bool:
        """Tell whether for more than `seconds` there has been no lane, and none could be started."""
        return self._empty_since is not None and time.perf_counter() - self._empty_since > seconds

    def put(self, job: Job) -> None:
        """Answer for an upload when a lane is free; cancelling its answer before drops it."""
        self._waiting.append(job)
        self._metrics.queue_depth.inc()
        if not self._dispatches:  # once for all uploads that came together
            self._dispatches = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatches = False
        while free := [lane for lane in self._lanes if _has_room(lane)]:
            if self._heavy and not any(lane.has_heavy for lane in self._lanes):
                job = self._heavy.popleft()
                self._metrics.queue_depth.dec()
                if not job.is_dropped:
                    self._send(min(free, key=lambda lane: len(lane.batches)), [job])
                continue
            if not self._waiting:
                return
            lane = min(free, key=lambda lane: len(lane.batches))
            idle = sum(not lane.batches for lane in free)
            if jobs := self._take(math.ceil(len(self._waiting) / max(1, idle))):
                self._send(lane, jobs)

    def _send(self, lane: LaneProcess, jobs: list[Job]) -> None:
        self._metrics.batches.observe(len(jobs))
        lane.send(jobs)

    def _take(self, share: int) -> list[Job]:
        """Take the next batch from the queue: not the large pictures with others, nor what may have ended a lane."""
        jobs: list[Job] = []
        size = 0
        while self._waiting and len(jobs) < min(share, self.max_batch) and size < _LARGE_BYTES:
            job = self._waiting[0]
            if jobs and (job.is_suspect or jobs[0].is_suspect):
                break
            self._waiting.popleft()
            self._metrics.queue_depth.dec()
            if not job.is_dropped:
                jobs.append(job)
                size += len(job.data)
        return jobs

    def _answered(self, lane: LaneProcess, frame: bytes) -> None:
        """Give each upload of a lane's oldest batch its answer, after the lane has got its next one."""
        try:
            outcomes = _outcomes(lane.batches[0], from_json(frame))
        except (LookupError, TypeError, ValueError):
            logger.exception("A lane has answered what it was not asked", extra={"lane": lane.pid})
            lane.kill()
            return
        jobs = lane.finish()
        heavy = [job for job, outcome in zip(jobs, outcomes, strict=True) if isinstance(outcome, HeavyPictureError)]
        for job in heavy:
            job.is_heavy = True
            self._heavy.append(job)
            self._metrics.queue_depth.inc()
        self._dispatch()
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job not in heavy:
                settle(job.answer, outcome)

    def _lost(self, lane: LaneProcess) -> None:
        """Replace a lane that has ended; what it was busy with is tried once more, each picture alone."""
        if lane not in self._lanes:
            return
        self._lanes.remove(lane)
        if not self._lanes:
            self._empty_since = time.perf_counter()
        self._keep(self._replace(lane, sum(map(len, lane.batches))))
        busy_with = lane.batches.popleft() if lane.batches else []
        for job in reversed([*busy_with, *chain.from_iterable(lane.batches)]):
            if lane.was_stalled and busy_with == [job]:
                reason = f"The picture cannot be decoded within {self._stall_seconds:g} seconds."
                settle(job.answer, UndecodablePictureError(reason))
            elif job.is_suspect and job in busy_with:
                reason = "The picture cannot be decoded: the process that tried has ended, twice."
                settle(job.answer, UndecodablePictureError(reason))
            else:
                job.is_suspect = job.is_suspect or job in busy_with
                (self._heavy if job.is_heavy else self._waiting).appendleft(job)
                self._metrics.queue_depth.inc()
        self._dispatch()

    async def _open(self) -> None:
        lane = LaneProcess(self._answered, self._lost)
        ready, _ = await lane.open(self._order)
        if self._order.portable is None and ready["card"]["sha256"] != self._sha256:
            await lane.end(0)
            raise CheckpointError(f"{self._order.checkpoint} is another file than when the service was started.")
        self._add(lane, ready)

    def _add(self, lane: LaneProcess, ready: dict[str, Any]) -> None:
        """Use a lane that is ready, for batches small enough for the latency wanted as its warm-up tells."""
        seconds = {int(size): taken for size, taken in ready["batch_seconds"].items()}
        fast = [size for size in seconds if seconds[size] <= self._max_batch_seconds]
        if len(fast) < len(seconds):
            self.max_batch = min(self.max_batch, max(fast, default=1))
        self._lanes.append(lane)
        self._empty_since = None
        self._dispatch()

    async def _replace(self, lane: LaneProcess, uploads: int) -> None:
        code = await lane.end(0)
        logger.error("A lane has ended", extra={"lane": lane.pid, "exit_code": code, "uploads": uploads})
        while True:
            try:
                await self._open()
            except WhiskerError:
                logger.exception("A lane could not be started")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                logger.info("A lane was replaced", extra={"lane": lane.pid})
                return

    async def _watch(self) -> None:
        """End lanes that are stalled: there is no other way to stop what they do."""
        while True:
            await asyncio.sleep(self._stall_seconds / _WATCHES)
            for lane in self._lanes:
                if lane.is_stalled(self._stall_seconds):
                    logger.error("A lane is stalled", extra={"lane": lane.pid})
                    lane.was_stalled = True
                    lane.kill()

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _has_room(lane: LaneProcess) -> bool:
    return len(lane.batches) < _AHEAD and lane.bytes < _LARGE_BYTES and not lane.has_heavy


def _outcomes(jobs: list[Job], document: dict[str, Any]) -> list[Outcome | Exception]:
    """Read a lane's answers to a batch; raise a `LookupError`, `TypeError` or `ValueError` if they are none."""
    seconds, now = document["inference_seconds"], time.perf_counter()
    return [_outcome(job, answer, seconds, now) for job, answer in zip(jobs, document["answers"], strict=True)]


def _outcome(job: Job, answer: dict[str, Any], inference_seconds: float, now: float) -> Outcome | Exception:
    if "prediction" in answer:
        decode_seconds = answer["decode_seconds"]
        queue_seconds = max(0.0, now - job.since - decode_seconds - inference_seconds)
        rendering = b64decode(answer.get("rendering", ""))
        return Outcome(answer["prediction"], decode_seconds, queue_seconds, inference_seconds, rendering)
    if "refused" in answer:
        name, sentence = answer["refused"]
        refusal = revive(name, sentence, otherwise=PictureError)
        if job.is_heavy and isinstance(refusal, HeavyPictureError):
            raise ValueError("A picture that may be heavy was refused for that.")
        return refusal
    logger.error("Inference failed", extra={"failure": answer["failure"]})
    return InferenceFailedError("The network could not answer for this picture.")
