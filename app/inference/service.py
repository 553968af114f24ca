"""The running service: a worker pool, and what is known of the checkpoint that it answers with."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whisker.app import time_limits
from whisker.app.errors import NotReadyError, UnknownClassError, quoted
from whisker.app.inference.drift import Drift
from whisker.app.inference.requests import PendingPrediction, PredictionResult
from whisker.app.inference.wire import NO_DRAWING, PredictionDocument, PredictionOptions
from whisker.app.inference.worker_pool import WorkerPool
from whisker.app.metrics import Metrics
from whisker.app.schemas import CheckpointId
from whisker.app.settings import Settings
from whisker.model.answers.heat_map import BEST_CLASS
from whisker.model.card.document import CheckpointCard
from whisker.model.card.metrics import TestMetrics
from whisker.model.errors import CheckpointError, NoHeatMapError

_VERSION_DIGITS = 12
TOP_CLASS = "top"  # in place of a class's name: the best one, unless a class has that name
BEST = ""  # the best one, whatever the names are: no class has this one

logger = logging.getLogger(__name__)


class Service:
    """Answer uploads; made by `running_service`, with everything loaded, verified and warmed up."""

    def __init__(self, pool: WorkerPool, card: CheckpointCard, metrics: Metrics) -> None:
        self.card = card
        self.version = card["sha256"][:_VERSION_DIGITS]
        self.checkpoint_id = CheckpointId(name=card["name"], version=self.version)
        self._pool = pool
        self._metrics = metrics
        stages = metrics.stages  # resolved once: looking a label up costs as much as counting
        self._decode_seconds, self._queue_seconds = stages.labels("decode"), stages.labels("queue")
        self._inference_seconds = stages.labels("inference")
        profile = TestMetrics.from_json(card["metrics"]).profile
        self._drift = Drift(metrics, card["classes"], profile, task=card["task"])
        self._started = time.monotonic()
        metrics.describe_model(name=card["name"], version=self.version, device=card["device"])

    @property
    def is_multi_label(self) -> bool:
        """Tell whether an answer has any number of labels."""
        return self.card["task"] == "multi-label"

    @property
    def uptime_seconds(self) -> float:
        """Count the seconds since the service was ready."""
        return time.monotonic() - self._started

    @property
    def is_ready(self) -> bool:
        """Tell whether an upload would be answered."""
        return self._pool.is_running

    def is_alive(self, stall_seconds: float) -> bool:
        """Tell whether inference workers that end are replaced; without any, that has to take `stall_seconds`."""
        return not self._pool.is_empty(stall_seconds) and not self._pool.lacks_workers(time_limits.MISSING_SECONDS)

    def is_dead(self, seconds: float) -> bool:
        """Tell whether there has been no inference worker for `seconds`."""
        return self._pool.is_empty(seconds)

    def options(self, top_k: int, explain: str | None = None, *, opacity: float = NO_DRAWING) -> PredictionOptions:
        """Check what a client asks for; `explain` is a class, or `BEST`, or, where no class has that name, `TOP_CLASS`.

        Raises `UnknownClassError` or `NoHeatMapError`.
        """
        classes = self.card["classes"]
        count = min(top_k, len(classes))  # any number may be asked for; what goes to a worker has 32 bits
        if explain is None:
            return PredictionOptions(count, opacity=opacity)
        if not self.card["has_heat_maps"]:
            raise NoHeatMapError("This network has no feature map, so there are no heat maps.")
        if explain in classes:
            return PredictionOptions(count, classes.index(explain), opacity)
        if explain not in (BEST, TOP_CLASS):
            raise UnknownClassError(
                f"There is no class {quoted(explain)}: give one that the checkpoint's card lists, or none for the best."
            )
        return PredictionOptions(count, BEST_CLASS, opacity)

    def submit(
        self, data: bytes, options: PredictionOptions, *, has_company: bool = False
    ) -> asyncio.Future[PredictionResult]:
        """Queue an upload, alone or in the company of others of its request; cancelling its result drops it.

        Raises `NotReadyError`; the result raises a `PictureError`, `OverloadedError` or `InferenceFailedError`.
        """
        if not self.is_ready:
            raise NotReadyError("The service is starting or stopping; try again soon.")
        pending = PendingPrediction(data, options, asyncio.get_running_loop().create_future(), has_company)
        self._pool.put(pending)
        return pending.result

    @property
    def has_time(self) -> bool:
        """Tell whether a picture more keeps nobody waiting now."""
        return self.is_ready and self._pool.has_time

    def look_again(self, data: bytes) -> asyncio.Future[PredictionResult]:
        """Queue an upload that has been answered, for all scores, its drawing and its descriptor; raise as `submit`.

        It is not tried again if its worker ends, and not beside heavy pictures if it is one.
        """
        if not self.is_ready:
            raise NotReadyError("The service is starting or stopping; try again soon.")
        options = PredictionOptions(len(self.card["classes"]), opacity=0, wants_descriptor=True)
        pending = PendingPrediction(data, options, asyncio.get_running_loop().create_future(), is_spare=True)
        self._pool.put(pending)
        return pending.result

    def record(self, result: PredictionResult) -> None:
        """Count a result that a client gets, in metrics and drift."""
        self._decode_seconds.observe(result.decode_seconds)
        self._queue_seconds.observe(result.queue_seconds)
        self._inference_seconds.observe(result.inference_seconds)
        labels, score = _labels(result.prediction), result.prediction["score"]
        for label in labels:
            self._metrics.predictions.labels(label).inc()
        self._metrics.scores.observe(score)
        self._drift.record(labels, score)
        self._metrics.verdicts.labels(result.prediction["verdict"]).inc()


@asynccontextmanager
async def running_service(settings: Settings, metrics: Metrics) -> AsyncIterator[Service]:
    """Load the classifier, and run its inference workers within the context.

    Raises what `Classifier.load` raises, and `CheckpointError` if the file is not the one the settings ask for.
    """
    pool = WorkerPool(settings, metrics)
    try:
        card = await pool.start()
        _require_checkpoint(settings, card["sha256"])
        service = Service(pool, card, metrics)
        _spare_the_collector()
        logger.info(
            "Checkpoint loaded, verified and warmed up",
            extra={
                "checkpoint": card["name"],
                "version": service.version,
                "device": card["device"],
                "engine": card["engine"],
                "inference_workers": pool.count,
                "max_batch": pool.max_batch,
            },
        )
        yield service
    finally:
        await pool.close()


def _labels(prediction: PredictionDocument) -> tuple[str, ...]:
    """Name what an answer says is in a picture: all its labels or, where it has exactly one, the best class."""
    found = prediction.get("labels")
    return (prediction["label"],) if found is None else tuple([it["label"] for it in found])


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
