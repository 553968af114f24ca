"""Keep answered uploads for review, in the background: no answer waits for it, and none fails because of it.

An upload that looks worth a label waits here until inference workers have nothing to do. One of them then decodes it a
second time, to draw the copy that is kept; uploads that are not kept are decoded once, as ever.
"""

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whisker.app import time_limits
from whisker.app.errors import InferenceFailedError, OverloadedError
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.metrics import Metrics
from whisker.app.review.entry import Entry
from whisker.app.review.interest import rate
from whisker.app.review.store import ReviewStore
from whisker.app.settings import Settings
from whisker.model.errors import ConfigError, PictureError, WhiskerError

_MAX_WAITING, _MAX_WAITING_BYTES = 8, 32_000_000  # uploads; of too many, the least interesting gives way
_MAX_DECODE_SECONDS = 0.5  # what took longer the first time is not decoded again
_IDLE_CHECK_SECONDS = 0.02
_REFRESH_SECONDS = 30.0  # between two looks at the folder, which other processes and people change, too
_MAX_INTEREST = 1.0
_LISTED = 10  # classes of an answer that are stored

SkipReason = Literal["busy", "failed", "full", "heavy", "known", "share", "uninteresting"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Upload:
    data: bytes
    interest: float
    service: Service


class Keeper:
    """Choose and keep uploads. Belongs to one event loop."""

    def __init__(self, store: ReviewStore, share: float, metrics: Metrics) -> None:
        self.store = store
        self._share = share
        self._metrics = metrics
        self._waiting: list[_Upload] = []
        self._has_come = asyncio.Event()
        self._floor = -1.0  # interest has to exceed it
        self._paused_until = 0.0

    def consider(self, service: Service, data: bytes, result: PredictionResult) -> None:
        """Queue an upload that a service has answered if it may be worth keeping; takes no time and never fails."""
        if random.random() >= self._share:  # noqa: S311 - no secret
            self._skip("share")
        elif reason := self._obstacle(result):
            self._skip(reason)
        elif (interest := rate(result.prediction, _thresholds(service))) <= self._floor:
            self._skip("uninteresting")
        else:
            self._queue(_Upload(data, interest, service))

    def consider_disagreement(self, service: Service, data: bytes, result: PredictionResult) -> None:
        """Queue an upload that a shadow has answered otherwise: nothing is worth a label more."""
        if reason := self._obstacle(result):
            self._skip(reason)
        else:
            self._queue(_Upload(data, _MAX_INTEREST, service))

    def take(self) -> _Upload:
        """Remove the most interesting upload that waits, which must be there."""
        best = max(self._waiting, key=_interest)
        self._waiting.remove(best)
        return best

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep uploads within the context."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _obstacle(self, result: PredictionResult) -> SkipReason | None:
        """Say why no upload can be kept now, or this one never; nothing if it can."""
        if time.monotonic() < self._paused_until:
            return "failed"
        return "heavy" if result.decode_seconds > _MAX_DECODE_SECONDS else None

    def _queue(self, upload: _Upload) -> None:
        if sum(len(it.data) for it in self._waiting) + len(upload.data) > _MAX_WAITING_BYTES:
            self._skip("busy")
            return
        self._waiting.append(upload)
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.remove(min(self._waiting, key=_interest))
            self._skip("busy")
        self._has_come.set()

    async def _run(self) -> None:
        await self._safely(self.store.run(self.store.sweep))
        while True:
            await self._safely(self._refresh())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._has_come.wait()
            while self._waiting:
                while not self._waiting[0].service.has_time:  # noqa: ASYNC110 - the pool tells nobody
                    await asyncio.sleep(_IDLE_CHECK_SECONDS)
                await self._safely(self._keep(self.take()))
            self._has_come.clear()

    async def _safely(self, work: Coroutine[None, None, None]) -> None:
        """Do work; if it fails, log and count that, and leave the folder alone for a while."""
        try:
            await work
        except Exception as exc:  # noqa: BLE001 - the last resort: whatever it is, answers go on
            log = logger.error if isinstance(exc, WhiskerError) else logger.exception
            log("Uploads cannot be kept for review", extra={"reason": str(exc)})
            self._skip("failed")
            self._paused_until = time.monotonic() + time_limits.REVIEW_PAUSE_SECONDS

    async def _refresh(self) -> None:
        self._floor = await self.store.run(self.store.floor)

    async def _keep(self, taken: _Upload) -> None:
        """Draw an upload again and store it, unless it is there."""
        upload = await self.store.run(_sha256, taken.data)
        if await self.store.run(self.store.has, upload):
            self._skip("known")
            return
        try:
            result = await taken.service.look_again(taken.data)
        except OverloadedError:
            self._skip("busy")
            return
        except (PictureError, InferenceFailedError):
            self._skip("failed")
            return
        outcome = await self.store.run(self.store.keep, result.drawing, self._entry(taken.service, upload, result))
        if outcome == "kept":
            self._metrics.review_kept.inc()
        else:
            self._skip(outcome)

    def _entry(self, service: Service, upload: str, result: PredictionResult) -> Entry:
        prediction = result.prediction
        shown = {**prediction, "predictions": prediction["predictions"][:_LISTED]}
        return Entry(upload, service.version, shown, rate(prediction, _thresholds(service)), result.descriptor)

    def _skip(self, reason: SkipReason) -> None:
        self._metrics.review_skipped.labels(reason).inc()


def open_keeper(settings: Settings, metrics: Metrics) -> Keeper | None:
    """Make the keeper, if the settings ask for one; raise `ConfigError` if they leave the photos open to everybody."""
    if settings.review is None:
        return None
    if settings.api_key is None:
        raise ConfigError(
            "WHISKER_REVIEW keeps uploads for people to look at, so set WHISKER_API_KEY, too: "
            "without a key everybody could see them."
        )
    if settings.corrections is not None and _overlap(settings.corrections.resolve(), settings.review.resolve()):
        raise ConfigError(
            "WHISKER_REVIEW and WHISKER_CORRECTIONS are one folder, or one in the other: give each its own."
        )
    return Keeper(ReviewStore(settings.review, settings.max_review_bytes), settings.review_share, metrics)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _interest(upload: _Upload) -> float:
    return upload.interest


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _thresholds(service: Service) -> Mapping[str, float] | None:
    """Give the thresholds of a multi-label checkpoint."""
    given = service.card["label_thresholds"]
    return None if given is None else {it["label"]: it["threshold"] for it in given}
