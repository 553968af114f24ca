"""A service: one version of a model, open in the worker pool, and what is known of its checkpoint."""

import asyncio
import time
import weakref
from functools import cache, partial

from whisker.app.errors import NotReadyError, UnknownClassError, quoted
from whisker.app.inference.drift import Drift
from whisker.app.inference.requests import PendingPrediction, PredictionResult
from whisker.app.inference.wire import NO_DRAWING, PredictionDocument, PredictionOptions
from whisker.app.inference.worker_pool import WorkerPool
from whisker.app.metrics import Metrics
from whisker.app.schemas import CheckpointId
from whisker.model.answers.kinds import BEST_CLASS
from whisker.model.card.document import CheckpointCard
from whisker.model.card.metrics import TestMetrics
from whisker.model.errors import NoHeatMapError

TOP_CLASS = "top"  # in place of a class's name: the best one, unless a class has that name
BEST = ""  # the best one, whatever the names are: no class has this one


class Service:
    """Answer uploads with one version of a model, which is loaded, verified and warmed up.

    Whoever answers a request holds one for as long; when nobody does any more, the workers forget the model.
    """

    def __init__(
        self,
        pool: WorkerPool,
        slot: int,
        card: CheckpointCard,
        metrics: Metrics,
        *,
        name: str,
        version: str,
    ) -> None:
        self.card = card
        self.name, self.version = name, version
        self.checkpoint_id = CheckpointId(name=self.name, version=self.version)
        self.answers = 0
        self.is_serving = False  # whether its answers are the ones that drift is measured by
        self._pool = pool
        self._slot = slot
        self._metrics = metrics
        weakref.finalize(self, pool.discard_later, slot).atexit = False
        stages = metrics.stages  # resolved once: looking a label up costs as much as counting
        self._decode_seconds, self._queue_seconds = stages.labels("decode"), stages.labels("queue")
        self._inference_seconds = stages.labels("inference")
        self._predictions = cache(partial(metrics.predictions.labels, name))
        self._verdicts = cache(partial(metrics.verdicts.labels, name))
        profile = TestMetrics.from_json(card["metrics"]).profile
        self._drift = Drift(metrics, self.name, card["classes"], profile, task=card["task"])
        self._started = time.monotonic()

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

    @property
    def memory(self) -> int:
        """Give the bytes that the model takes, in all processes."""
        return self._pool.memory(self._slot)

    @property
    def max_batch(self) -> int:
        """Give the largest batch that is answered together."""
        return self._pool.max_batch(self._slot)

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
        return self._put(data, options, has_company=has_company)

    @property
    def has_time(self) -> bool:
        """Tell whether a picture more keeps nobody waiting now."""
        return self.is_ready and self._pool.has_time

    def look_again(self, data: bytes) -> asyncio.Future[PredictionResult]:
        """Queue an upload that has been answered, for all scores, its drawing and its descriptor; raise as `submit`.

        It is not tried again if its worker ends, and not beside heavy pictures if it is one.
        """
        options = PredictionOptions(len(self.card["classes"]), opacity=0, wants_descriptor=True)
        return self._put(data, options, is_spare=True)

    def compare(self, data: bytes) -> asyncio.Future[PredictionResult]:
        """Queue an upload that another version has answered; raise as `submit`, and give way as `look_again`."""
        return self._put(data, PredictionOptions(1), is_spare=True)

    def _put(self, data: bytes, options: PredictionOptions, **kind: bool) -> asyncio.Future[PredictionResult]:
        if not self.is_ready:
            raise NotReadyError("The service is starting or stopping; try again soon.")
        result: asyncio.Future[PredictionResult] = asyncio.get_running_loop().create_future()
        self._pool.put(PendingPrediction(data, options, result, slot=self._slot, **kind))
        return result

    def record(self, result: PredictionResult) -> None:
        """Count a result that a client gets, in metrics and drift."""
        self._decode_seconds.observe(result.decode_seconds)
        self._queue_seconds.observe(result.queue_seconds)
        self._inference_seconds.observe(result.inference_seconds)
        labels, score = labels_of(result.prediction), result.prediction["score"]
        for label in labels:
            self._predictions(label).inc()
        self._metrics.scores.observe(score)
        if self.is_serving:
            self._drift.record(labels, score)
        self._verdicts(result.prediction["verdict"]).inc()
        self.answers += 1


def labels_of(prediction: PredictionDocument) -> tuple[str, ...]:
    """Name what an answer says is in a picture: all its labels or, where it has exactly one, the best class."""
    found = prediction.get("labels")
    return (prediction["label"],) if found is None else tuple([it["label"] for it in found])
