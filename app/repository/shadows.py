"""Shadows: versions that answer uploads once more, when there is time, for nobody but the metrics."""

import asyncio
import random
from collections.abc import Callable

from whisker.app.errors import NotReadyError, OverloadedError, ServiceError
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

    def offer(
        self,
        service: Service,
        shadow: tuple[Service, Shadow],
        data: bytes,
        result: PredictionResult,
        *,
        is_kept: bool,
    ) -> None:
        """Ask a shadow about an upload by its share, unless workers are busy; takes no time and never fails.

        Where they disagree, that is passed on if it `is_kept`.
        """
        other, trial = shadow
        if random.random() >= trial.share or len(self._tasks) >= _MAX_WAITING or not other.has_time:  # noqa: S311 - no secret
            return
        task = asyncio.create_task(self._compare(service, other, data, result, is_kept=is_kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(
        self, service: Service, other: Service, data: bytes, result: PredictionResult, *, is_kept: bool
    ) -> None:
        agrees = False
        try:
            answer = await other.compare(data)
        except (OverloadedError, NotReadyError):
            return  # it has given way
        except (PictureError, ServiceError):
            pass  # a shadow that cannot answer does not agree
        else:
            agrees = sorted(labels_of(answer.prediction)) == sorted(labels_of(result.prediction))
        self._metrics.shadow_answers.labels(service.name, "yes" if agrees else "no").inc()
        if is_kept and not agrees and self._on_disagreement is not None:
            self._on_disagreement(service, data, result)
