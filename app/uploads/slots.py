"""Upload slots: how many pictures may be answered at once, and what becomes of the others."""

import asyncio
import logging
import math
import time
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import OverloadedError
from whisker.app.metrics import Metrics

SLOT = "whisker.slot"  # where the scope of an upload's request has its slot, if the connection has taken one
_COMPANY_SHARE = 0.75  # of all slots: the pictures of one request may take more than one of these, but of no others
_PACE_ANSWERS = 64  # latest answers, whose pace tells how soon there is a free slot
_MAX_RETRY_SECONDS = 60
# About refused uploads in `_SUMMARY_SECONDS`; the others are counted in one line. The log does the same for lines of
# any kind (app/log_writer.py); counting here spares making a record of each, when there are thousands a second.
_MAX_LINES = 10
_SUMMARY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class UploadSlots:
    """Give out a fixed number of slots, one for each picture that is being answered."""

    def __init__(self, capacity: int, metrics: Metrics, *, summary_seconds: float = _SUMMARY_SECONDS) -> None:
        self.metrics = metrics
        self._capacity = capacity
        self._summary_seconds = summary_seconds
        self._taken = 0
        self._answered_at: deque[float] = deque(maxlen=_PACE_ANSWERS)
        self._lines = self._unlogged = 0

    @property
    def are_full(self) -> bool:
        return self._taken >= self._capacity

    def acquire(self) -> "UploadSlot":
        """Give a slot to an upload whose head has come; raise `OverloadedError` if there is none."""
        return UploadSlot(self)

    def take(self) -> None:
        """Count one slot as taken; raise `OverloadedError` if there is none. For `UploadSlot` alone."""
        if self.are_full:
            raise self.refusal()
        self._taken += 1

    def take_more(self, count: int) -> int:
        """Count up to `count` more as taken, for an upload that has one; return how many. For `UploadSlot` alone.

        An upload that nobody is beside gets whatever there is. Raises `OverloadedError` if there are too few for it.
        """
        if self._taken > 1 and self._taken + count > self._capacity * _COMPANY_SHARE:
            raise self.refusal()
        more = max(0, min(count, self._capacity - self._taken))
        self._taken += more
        return more

    def give_back(self, count: int = 1) -> None:
        """Count slots as free. For `UploadSlot` alone."""
        self._taken -= count

    def note_answer(self) -> None:
        """Remember when an upload was answered."""
        self._answered_at.append(time.monotonic())

    def refusal(self) -> OverloadedError:
        """Make the error for an upload that gets no slot."""
        sentence = "The service is answering as many uploads as it can; try again soon."
        return OverloadedError(sentence, retry_seconds=self._seconds_to_drain())

    def log_refusal(self, request_id: str) -> None:
        """Log that an upload was refused, or only count it if there are many such lines."""
        if not self._lines:
            asyncio.get_running_loop().call_later(self._summary_seconds, self._log_summary)
        if self._lines < _MAX_LINES:
            self._lines += 1
            logger.info("An upload was refused", extra={"code": OverloadedError.code, "request_id": request_id})
        else:
            self._unlogged += 1

    def _log_summary(self) -> None:
        if self._unlogged:
            extra = {"code": OverloadedError.code, "uploads": self._unlogged}
            logger.info("More uploads were refused", extra=extra)
        self._lines = self._unlogged = 0

    def _seconds_to_drain(self) -> int:
        """Estimate, from the pace of the latest answers, when all uploads in flight will have been answered."""
        if len(self._answered_at) < 2:
            return 1
        seconds_each = (time.monotonic() - self._answered_at[0]) / len(self._answered_at)
        return min(_MAX_RETRY_SECONDS, math.ceil(seconds_each * self._taken))


class UploadSlot:
    """One upload's slot, owned by its connection from the head of the request to the answer.

    An upload that is not complete at once gives its slot to others until it is, so that slow clients keep nobody out.
    """

    def __init__(self, slots: UploadSlots) -> None:
        """Take a slot; raise `OverloadedError` if there is none."""
        slots.take()
        self._slots = slots
        self._is_held = True  # one of the slots is this upload's
        self._more = 0  # others of them are, too
        self._is_complete = False  # and is being answered
        self._is_closed = False
        slots.metrics.receiving.inc()

    def release_until_complete(self) -> None:
        """Let others have the slot of an upload that is not complete."""
        if self._is_held and not self._is_complete:
            self._is_held = False
            self._slots.give_back()

    def complete(self) -> None:
        """Begin to answer; raise `OverloadedError` if the upload was slow and no slot is left."""
        if self._is_complete:
            return
        if not self._is_held:
            self._slots.take()
            self._is_held = True
        self._is_complete = True
        self._slots.metrics.receiving.dec()
        self._slots.metrics.in_flight.inc()

    def hold(self, pictures: int) -> None:
        """Take a slot for each picture, now that there are so many; raise `OverloadedError` if there are too few."""
        if not self._is_closed and pictures > 1 + self._more:
            self._more += self._slots.take_more(pictures - 1 - self._more)

    def close(self) -> None:
        """Give all slots back, however the upload was answered; closing twice does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._slots.give_back(self._is_held + self._more)
        if self._is_complete:
            self._slots.metrics.in_flight.dec()
            self._slots.note_answer()
        else:
            self._slots.metrics.receiving.dec()


class UploadSlotMiddleware:
    """Tell an upload's slot how far its body has come.

    The slot is that of the connection (app/server/connection.py), or, where an application is called without one, taken
    here. Only a POST is an upload; health, readiness and metrics always pass.
    """

    def __init__(self, app: ASGIApp, *, slots: UploadSlots) -> None:
        self.app = app
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        slot: UploadSlot = scope.get(SLOT) or self._slots.acquire()
        scope[SLOT] = slot

        async def receive_noticed() -> Message:
            message = await receive()
            if message.get("more_body", False):
                slot.release_until_complete()
            elif message["type"] == "http.request":
                slot.complete()
            return message

        try:
            await self.app(scope, receive_noticed, send)
        finally:
            slot.close()
