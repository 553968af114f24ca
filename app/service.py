"""The running service: a loaded classifier, the threads around it, and what they answer."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import torch
from starlette.types import Receive

from app.batching import Batcher
from app.decoding import Decoders
from app.errors import NotReadyError
from app.jobs import Job, Outcome
from app.limits import in_time
from app.metrics import Metrics
from app.schemas import CheckpointId
from app.settings import Settings
from model.checkpoint import Checkpoint
from model.classifier import Classifier
from model.cores import available_cores
from model.errors import CheckpointError

_VERSION_DIGITS = 12

logger = logging.getLogger(__name__)


class Service:
    """Answer for uploads; made by `running_service`, with everything loaded, verified and warmed up."""

    def __init__(
        self, classifier: Classifier, decoders: Decoders, batcher: Batcher, metrics: Metrics, *, deadline_seconds: float
    ) -> None:
        self.device, self.engine = classifier.device, classifier.engine
        self.checkpoint: Checkpoint = classifier.checkpoint
        self.version = self.checkpoint.sha256[:_VERSION_DIGITS]
        self._decoders = decoders
        self._batcher = batcher
        self.checkpoint_id = CheckpointId(name=self.checkpoint.name, version=self.version)
        self._deadline_seconds = deadline_seconds
        self._metrics = metrics
        stages = metrics.stages  # resolved once: looking a label up costs as much as counting
        self._decode_seconds, self._queue_seconds = stages.labels("decode"), stages.labels("queue")
        self._inference_seconds = stages.labels("inference")
        self._started = time.monotonic()
        metrics.describe_model(name=self.checkpoint.name, version=self.version, device=self.device)

    @property
    def uptime_seconds(self) -> float:
        """Count the seconds since the service was ready."""
        return time.monotonic() - self._started

    @property
    def is_ready(self) -> bool:
        """Tell whether an upload would be answered."""
        return self._batcher.is_running

    def is_alive(self, stall_seconds: float) -> bool:
        """Tell whether the inference thread is there and no batch hangs in it."""
        return self._batcher.is_running and not self._batcher.is_stalled(stall_seconds)

    async def predict(self, data: bytes, *, receive: Receive) -> Outcome:
        """Decode one upload, and classify it among whatever else is waiting, for a client that `receive` hears from.

        Raises a `PictureError`, `InferenceFailedError`, `NotReadyError` or what `in_time` raises.
        """
        outcome = await in_time(self._submit(data), receive=receive, seconds=self._deadline_seconds)
        self._record(outcome)
        return outcome

    async def predict_many(self, files: Sequence[bytes], *, receive: Receive) -> list[Outcome | Exception]:
        """Answer for several uploads as `predict` does for one; each has its own outcome or error."""
        answers = asyncio.gather(*(self._submit(data) for data in files), return_exceptions=True)
        outcomes = await in_time(answers, receive=receive, seconds=self._deadline_seconds)
        for outcome in outcomes:
            if isinstance(outcome, Outcome):
                self._record(outcome)
        return cast("list[Outcome | Exception]", outcomes)  # what threads set is never a bare BaseException

    def _submit(self, data: bytes) -> asyncio.Future[Outcome]:
        if not self.is_ready:
            raise NotReadyError("The service is starting or stopping; try again soon.")
        job = Job(data, asyncio.get_running_loop().create_future())
        self._decoders.put(job)
        return job.answer

    def _record(self, outcome: Outcome) -> None:
        self._decode_seconds.observe(outcome.decode_seconds)
        self._queue_seconds.observe(outcome.queue_seconds)
        self._inference_seconds.observe(outcome.inference_seconds)
        self._metrics.predictions.labels(outcome.prediction.label).inc()
        self._metrics.verdicts.labels(outcome.prediction.verdict).inc()


@asynccontextmanager
async def running_service(settings: Settings, metrics: Metrics) -> AsyncIterator[Service]:
    """Load the classifier and run its threads for the time of the context.

    Raises what `Classifier.load` raises, and `CheckpointError` if the file is not the one the settings ask for.
    """
    batcher = Batcher(
        lambda: _load(settings),
        max_batch=settings.max_batch,
        max_batch_seconds=settings.max_batch_seconds,
        metrics=metrics,
    )
    classifier = await batcher.start()
    decoders = Decoders(
        classifier.preprocessing,
        threads=settings.decode_threads or available_cores(),
        max_pixels=settings.max_pixels,
        decoded=batcher.put,
    )
    try:
        service = Service(classifier, decoders, batcher, metrics, deadline_seconds=settings.deadline_seconds)
        _spare_the_collector()
        logger.info(
            "Checkpoint loaded, verified and warmed up",
            extra={
                "checkpoint": service.checkpoint.name,
                "version": service.version,
                "device": service.device,
                "engine": service.engine,
                "threads": settings.threads or available_cores(),
                "decode_threads": settings.decode_threads or available_cores(),
            },
        )
        yield service
    finally:
        decoders.close()
        await batcher.close()


def _spare_the_collector() -> None:
    """Keep what start-up has made out of every later search for garbage: a tenth of a second each, at any moment."""
    gc.collect()
    gc.freeze()


def _load(settings: Settings) -> Classifier:
    """Load in the calling thread, which is the one that will compute."""
    torch.set_num_threads(settings.threads or available_cores())
    classifier = Classifier.load(settings.checkpoint, device=settings.device, engine=settings.engine)
    expected = settings.checkpoint_sha256
    if expected is not None and classifier.checkpoint.sha256 != expected:
        raise CheckpointError(
            f"The checkpoint {settings.checkpoint} has the SHA-256 {classifier.checkpoint.sha256}, not {expected}: "
            "give the file that WHISKER_CHECKPOINT_SHA256 stands for, or change that setting."
        )
    return classifier
