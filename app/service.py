"""The running service: a loaded classifier, the threads around it, and what they answer."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import torch

from app.batching import Batcher
from app.decoding import Decoders
from app.metrics import Metrics
from app.settings import Settings
from model.checkpoint import Checkpoint
from model.classifier import Classifier, Prediction
from model.cores import available_cores
from model.errors import CheckpointError
from model.preprocessing import Picture

_VERSION_DIGITS = 12

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An upload's answer, and the seconds each stage took."""

    prediction: Prediction
    picture: Picture
    decode_seconds: float
    queue_seconds: float
    inference_seconds: float


class Service:
    """Answer for uploads; made by `running_service`, with everything loaded, verified and warmed up."""

    def __init__(self, classifier: Classifier, decoders: Decoders, batcher: Batcher, metrics: Metrics) -> None:
        self.device = classifier.device
        self.checkpoint: Checkpoint = classifier.checkpoint
        self.version = self.checkpoint.sha256[:_VERSION_DIGITS]
        self._decoders = decoders
        self._batcher = batcher
        self._metrics = metrics
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

    async def predict(self, data: bytes) -> Outcome:
        """Decode one upload, and classify it among whatever else is waiting.

        Raises a `PictureError` or what `Batcher.predict` raises.
        """
        decoded = await self._decoders.decode(data)
        batched = await self._batcher.predict(decoded.picture.pixels)
        outcome = Outcome(
            batched.prediction,
            decoded.picture,
            decode_seconds=decoded.decode_seconds,
            queue_seconds=decoded.queue_seconds + batched.queue_seconds,
            inference_seconds=batched.inference_seconds,
        )
        self._record(outcome)
        return outcome

    def _record(self, outcome: Outcome) -> None:
        self._metrics.stages.labels("decode").observe(outcome.decode_seconds)
        self._metrics.stages.labels("queue").observe(outcome.queue_seconds)
        self._metrics.stages.labels("inference").observe(outcome.inference_seconds)
        self._metrics.predictions.labels(outcome.prediction.label).inc()
        self._metrics.verdicts.labels(outcome.prediction.verdict).inc()


@asynccontextmanager
async def running_service(settings: Settings, metrics: Metrics) -> AsyncIterator[Service]:
    """Load the classifier and run its threads for the time of the context.

    Raises what `Classifier.load` raises, and `CheckpointError` if the file is not the one the settings ask for.
    """
    batcher = Batcher(lambda: _load(settings), max_batch=settings.max_batch, metrics=metrics)
    classifier = await batcher.start()
    decoders = Decoders(
        classifier.preprocessing,
        threads=settings.decode_threads or available_cores(),
        max_pixels=settings.max_pixels,
    )
    try:
        service = Service(classifier, decoders, batcher, metrics)
        logger.info(
            "Checkpoint loaded, verified and warmed up",
            extra={
                "checkpoint": service.checkpoint.name,
                "version": service.version,
                "device": service.device,
                "threads": settings.threads or available_cores(),
                "decode_threads": settings.decode_threads or available_cores(),
            },
        )
        yield service
    finally:
        decoders.close()
        await batcher.close()


def _load(settings: Settings) -> Classifier:
    """Load in the calling thread, which is the one that will compute."""
    torch.set_num_threads(settings.threads or available_cores())
    classifier = Classifier.load(settings.checkpoint, device=settings.device)
    expected = settings.checkpoint_sha256
    if expected is not None and classifier.checkpoint.sha256 != expected:
        raise CheckpointError(
            f"The checkpoint {settings.checkpoint} has the SHA-256 {classifier.checkpoint.sha256}, not {expected}: "
            "give the file that WHISKER_CHECKPOINT_SHA256 stands for, or change that setting."
        )
    return classifier
