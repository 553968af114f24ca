"""Admission: how many uploads are being answered, and what those are told for which there is no room."""

import asyncio
import logging
import math
import time
from collections import deque
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import OverloadedError
from whisker.app.metrics import Metrics

PLACE = "whisker.place"  # where an upload's scope has its place, if the connection has taken one for it
_ENDS = 64  # uploads whose pace tells how soon there is room
_MAX_RETRY_SECONDS = 60
_MAX_LINES = 10  # of uploads refused, in this time; the others are counted in one
_SUM_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Place:
    """One upload's: `counts` if it takes one of those that there are, `is_complete` once it is being answered."""

    counts: bool = True
    is_complete: bool = False


class Admission:
    """Give places to uploads, from the head of the request to the answer.

    One that is not complete at once gives its place up until it is, so that slow clients keep nobody out.
    """

    def __init__(self, places: int, metrics: Metrics) -> None:
        self._places = places
        self._metrics = metrics
        self._taken = 0
        self._ends: deque[float] = deque(maxlen=_ENDS)  # when the last uploads had been answered
        self._lines = self._unlogged = 0

    @property
    def is_full(self) -> bool:
        return self._taken >= self._places

    def begin(self) -> Place:
        """Give a place to an upload whose head has come; raise `OverloadedError` if there is none."""
        if self.is_full:
            raise self.refusal()
        self._taken += 1
        self._metrics.receiving.inc()
        return Place()

    def lend(self, place: Place) -> None:
        """Let others have the place of an upload that is not complete."""
        if not place.is_complete:
            self._taken -= place.counts
            place.counts = False

    def complete(self, place: Place) -> None:
        """Let an upload be answered; raise `OverloadedError` if it was slow and there is no place any more."""
        if not place.counts:
            if self.is_full:
                raise self.refusal()
            place.counts = True
            self._taken += 1
        place.is_complete = True
        self._metrics.receiving.dec()
        self._metrics.in_flight.inc()

    def end(self, place: Place) -> None:
        """Take back the place of an upload that was answered, in whatever way."""
        self._taken -= place.counts
        place.counts = False
        if place.is_complete:
            self._metrics.in_flight.dec()
            self._ends.append(time.monotonic())
        else:
            self._metrics.receiving.dec()

    def refusal(self) -> OverloadedError:
        """Make the error of an upload that is refused."""
        sentence = "The service is answering as many uploads as it can; try again soon."
        return OverloadedError(sentence, retry_seconds=self._seconds_to_drain())

    def log_refusal(self, request_id: str) -> None:
        """Write a line of an upload that was refused, or count it where lines would be too many."""
        if not self._lines:
            asyncio.get_running_loop().call_later(_SUM_SECONDS, self._sum_up)
        if self._lines < _MAX_LINES:
            self._lines += 1
            logger.info("An upload was refused", extra={"code": "overloaded", "request_id": request_id})
        else:
            self._unlogged += 1

    def _sum_up(self) -> None:
        if self._unlogged:
            logger.info("More uploads were refused", extra={"code": "overloaded", "uploads": self._unlogged})
        self._lines = self._unlogged = 0

    def _seconds_to_drain(self) -> int:
        """Estimate, from how fast the last uploads were answered, when those in flight will have been."""
        if len(self._ends) < 2:
            return 1
        seconds_each = (time.monotonic() - self._ends[0]) / len(self._ends)
        return min(_MAX_RETRY_SECONDS, math.ceil(seconds_each * self._taken))


class AdmissionMiddleware:
    """Refuse an upload, before its body is read, while as many as allowed are being answered.

    The connection has taken a place for it already (`whisker.app.server.connection`), or this does. Only a POST carries a picture;
    health, readiness and metrics always pass.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission) -> None:
        self.app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        given: Place | None = scope.get(PLACE)
        place = given or self._admission.begin()

        async def receive_then_complete() -> Message:
            message = await receive()
            if message.get("more_body", False):
                self._admission.lend(place)
            elif not place.is_complete and message["type"] == "http.request":
                self._admission.complete(place)
            return message

        try:
            await self.app(scope, receive_then_complete, send)
        finally:
            if given is None:
                self._admission.end(place)
