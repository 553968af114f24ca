"""Shadows: versions that answer uploads once more, when there is time, for nobody but the metrics."""

import asyncio
import contextlib
import random
from collections.abc import Callable

from whisker.app.errors import ServiceError
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service, labels_of
from whisker.app.metrics import Metrics
from whisker.app.repository.rollout import Shadow
from whisker.model.errors import PictureError

_MAX_WAITING = 4  # uploads that shadows are asked about at once

OnDisagreement = Callable[[Service, bytes, PredictionResult], None]


class Shadows:
    """Ask shadows about uploads that were answered, and count whether they agree. Belongs to one event loop.

    Both agree if they give the same label or, of a multi-label checkpoint, the same labels. `on_disagreement` gets the
    version that is served, the upload, and the answer that the client got.
    """

    def __init__(self, metrics: Metrics, on_disagreement: OnDisagreement | None) -> None:
        self._metrics = metrics
        self._on_disagreement = on_disagreement
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, service: Service, shadow: tuple[Service, Shadow], data: bytes, result: PredictionResult) -> None:
        """Ask a shadow about an upload by its share, unless workers are busy; takes no time and never fails."""
        other, trial = shadow
        if random.random() >= trial.share or len(self._tasks) >= _MAX_WAITING or not other.has_time:  # noqa: S311 - no secret
            return
        task = asyncio.create_task(self._compare(service, other, data, result))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, service: Service, other: Service, data: bytes, result: PredictionResult) -> None:
        agrees = False
        with contextlib.suppress(PictureError, ServiceError):  # a shadow that cannot answer does not agree
            answer = await other.compare(data)
            agrees = sorted(labels_of(answer.prediction)) == sorted(labels_of(result.prediction))
        self._metrics.shadow_answers.labels(service.name, "yes" if agrees else "no").inc()
        if not agrees and self._on_disagreement is not None:
            self._on_disagreement(service, data, result)
