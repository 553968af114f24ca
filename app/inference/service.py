"""The running service: lanes that decode and compute, and what they answer."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.types import Receive

from whisker.app.errors import NotReadyError, UnknownClassError
from whisker.app.inference.batch_handler import NO_RENDERING, Ask
from whisker.app.inference.drift import Drift
from whisker.app.inference.requests import Job, Outcome
from whisker.app.inference.worker_pool import Lanes
from whisker.app.metrics import Metrics
from whisker.app.schemas import CheckpointId
from whisker.app.settings import Settings
from whisker.app.uploads.deadline import in_time
from whisker.model.answers.heat_map import TOP
from whisker.model.errors import CheckpointError, NoHeatMapError

_VERSION_DIGITS = 12
TOP_CLASS = "top"  # in place of a class's name: the best one

logger = logging.getLogger(__name__)


class Service:
    """Answer for uploads; made by `running_service`, with everything loaded, verified and warmed up.

    `card` is what there is to know of the checkpoint, as `whisker.app.inference.worker` tells it.
    """

    def __init__(self, lanes: Lanes, card: dict[str, Any], metrics: Metrics, *, deadline_seconds: float) -> None:
        self.card = card
        self.version: str = card["sha256"][:_VERSION_DIGITS]
        self.checkpoint_id = CheckpointId(name=card["name"], version=self.version)
        self._lanes = lanes
        self._deadline_seconds = deadline_seconds
        self._metrics = metrics
        stages = metrics.stages  # resolved once: looking a label up costs as much as counting
        self._decode_seconds, self._queue_seconds = stages.labels("decode"), stages.labels("queue")
        self._inference_seconds = stages.labels("inference")
        self._drift = Drift(metrics, card["classes"], card["metrics"].get("profile"))
        self._started = time.monotonic()
        metrics.describe_model(name=card["name"], version=self.version, device=card["device"])

    @property
    def uptime_seconds(self) -> float:
        """Count the seconds since the service was ready."""
        return time.monotonic() - self._started

    @property
    def is_ready(self) -> bool:
        """Tell whether an upload would be answered."""
        return self._lanes.is_running

    def is_alive(self, seconds: float) -> bool:
        """Tell whether lanes are there, or have been `seconds` ago: they are replaced."""
        return not self._lanes.are_gone(seconds)

    def ask(self, top_k: int, explain: str | None = None, *, render: float = NO_RENDERING) -> Ask:
        """Put what a client wants as lanes are asked; `explain` is a class, or "top" for the best one.

        Raises `UnknownClassError` or `NoHeatMapError`.
        """
        classes: Sequence[str] = self.card["classes"]
        most = min(top_k, len(classes))  # a number of any size may be asked for; what goes to a lane has 32 bits
        if explain is None:
            return Ask(most, render=render)
        if not self.card["has_heat_maps"]:
            raise NoHeatMapError("This network looks at no place of a picture in particular: it has no heat maps.")
        if explain not in (TOP_CLASS, *classes):
            raise UnknownClassError(f"There is no such class: give one that /model lists, or {TOP_CLASS}.")
        return Ask(most, TOP if explain == TOP_CLASS else classes.index(explain), render)

    async def predict(self, data: bytes, *, ask: Ask, receive: Receive) -> Outcome:
        """Answer for one upload, for a client that `receive` hears from.

        Raises a `PictureError`, `InferenceFailedError`, `NotReadyError` or what `in_time` raises.
        """
        outcome = await in_time(self._submit(data, ask), receive=receive, seconds=self._deadline_seconds)
        self._record(outcome)
        return outcome

    async def predict_many(self, files: Sequence[bytes], *, ask: Ask, receive: Receive) -> list[Outcome | Exception]:
        """Answer for several uploads as `predict` does for one; each has its own outcome or error."""
        answers = asyncio.gather(*(self._submit(data, ask) for data in files), return_exceptions=True)
        outcomes = await in_time(answers, receive=receive, seconds=self._deadline_seconds)
        for outcome in outcomes:
            if isinstance(outcome, Outcome):
                self._record(outcome)
        return cast("list[Outcome | Exception]", outcomes)  # what lanes give is never a bare BaseException

    def _submit(self, data: bytes, ask: Ask) -> asyncio.Future[Outcome]:
        if not self.is_ready:
            raise NotReadyError("The service is starting or stopping; try again soon.")
        job = Job(data, ask, asyncio.get_running_loop().create_future())
        self._lanes.put(job)
        return job.answer

    def _record(self, outcome: Outcome) -> None:
        self._decode_seconds.observe(outcome.decode_seconds)
        self._queue_seconds.observe(outcome.queue_seconds)
        self._inference_seconds.observe(outcome.inference_seconds)
        label, score = outcome.prediction["label"], outcome.prediction["score"]
        self._metrics.predictions.labels(label).inc()
        self._metrics.scores.observe(score)
        self._drift.record(label, score)
        self._metrics.verdicts.labels(outcome.prediction["verdict"]).inc()


@asynccontextmanager
async def running_service(settings: Settings, metrics: Metrics) -> AsyncIterator[Service]:
    """Load the classifier and run its lanes for the time of the context.

    Raises what `Classifier.load` raises, and `CheckpointError` if the file is not the one the settings ask for.
    """
    lanes = Lanes(settings, metrics)
    try:
        card = await lanes.start()
        _require_checkpoint(settings, card["sha256"])
        service = Service(lanes, card, metrics, deadline_seconds=settings.deadline_seconds)
        _spare_the_collector()
        logger.info(
            "Checkpoint loaded, verified and warmed up",
            extra={
                "checkpoint": card["name"],
                "version": service.version,
                "device": card["device"],
                "engine": card["engine"],
                "lanes": lanes.count,
                "max_batch": lanes.max_batch,
            },
        )
        yield service
    finally:
        await lanes.close()


def _require_checkpoint(settings: Settings, found: str) -> None:
    expected = settings.checkpoint_sha256
    if expected is not None and found != expected:
        raise CheckpointError(
            f"The checkpoint {settings.checkpoint} has the SHA-256 {found}, not {expected}: "
            "give the file that WHISKER_CHECKPOINT_SHA256 stands for, or change that setting."
        )


def _spare_the_collector() -> None:
    """Keep what start-up has made out of every later search for garbage: a tenth of a second each, at any moment."""
    gc.collect()
    gc.freeze()
