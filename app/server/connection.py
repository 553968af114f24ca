"""An HTTP connection: bounds what a client may send and how slowly, owns an upload's slot, and refuses at little cost.

uvicorn times idle connections only, with a timer for each: one that sends nothing at first, or a byte now and then,
would stay open for as long as it likes, and so would one that takes no answer. (The time for a body is bounded in
app/uploads/body_limits.py.) Under overload most requests are refused, and each refusal takes from what is left to
answer others: here it costs less than as an ASGI application.
"""

import logging
import socket
import struct
import time
from typing import Any, ClassVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import MalformedRequestError, RequestTimeoutError, ServiceError
from whisker.app.routes.state import AppState
from whisker.app.server.head_size import HeadSize
from whisker.app.server.outflow import Outflow
from whisker.app.server.raw_problem import RawProblem
from whisker.app.server.uvicorn_internals import HttpConnection, StopReadingError
from whisker.app.time_limits import FAREWELL_SECONDS, HEAD_SECONDS
from whisker.app.uploads.slots import SLOT, UploadSlot
from whisker.app.web.request_id import HEADER, choose_request_id

MAX_WAITING = 8  # requests on a connection, sent without awaiting the answers before
_RESET = struct.pack("ii", 1, 0)  # lingers for 0 seconds
_ID = HEADER.lower().encode()

logger = logging.getLogger(__name__)


class Connection(HttpConnection):
    """Bound and time what the client sends, and answer with a problem what does not become a request."""

    _overloads: ClassVar[dict[tuple[int, bool], RawProblem]] = {}

    def __init__(self, *args: Any, state: AppState, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wrap_application(_freeing_slots)
        self._state = state
        self._idle_since = time.monotonic()
        self._since: float | None = self._idle_since  # when the client had to send; `None` while it need not
        self._has_begun = False  # to send a request's head
        self._is_received = True
        self._size = HeadSize()
        self._begun = 0  # requests among the bytes that have come in this moment
        self._new_slot: UploadSlot | None = None  # of an upload whose head has come in this moment
        self._outflow = Outflow()
        self._is_deaf = False  # discards what else the client sends
        self._leaves_at: float | None = None

    def look(self, now: float, take_seconds: float) -> None:
        """Close the connection if the client lets the service wait for too long, or takes no answer for so long."""
        if self._outflow.is_stuck(self.unsent_bytes, now, take_seconds):
            self.abort("A client does not take its answer")
        elif self._leaves_at is not None:
            if now >= self._leaves_at:
                self.transport.close()
        elif self._since is None:
            if self.is_idle and now - self._idle_since > self._state.settings.keep_alive_seconds:
                self.transport.close()
        elif now - self._since > HEAD_SECONDS:
            if self._has_begun and self.is_idle:
                reason = f"The request's head was not complete after {HEAD_SECONDS:g} seconds."
                self._refuse(RequestTimeoutError(reason))
            self.transport.close()

    def abort(self, reason: str) -> None:
        """Close the connection at once, and forget what is on its way; the system would go on with that for minutes."""
        logger.info(reason, extra={"unsent_bytes": self.unsent_bytes})
        socket_: socket.socket = self.transport.get_extra_info("socket")
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    @property
    def idle_since(self) -> float | None:
        """Tell since when the connection has waited for a request; `None` if one is being answered."""
        return self._idle_since if self.is_idle else None

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._since is None and self.is_idle:
            self._since = time.monotonic()
        self._begun = 0
        self._size.add_received(len(data))
        super().data_received(data)
        if self._size.is_endless and not self._is_deaf:
            self._stop(self._size.refusal())
        if self._new_slot is not None:
            if not self._is_received:
                self._new_slot.release_until_complete()
            self._new_slot = None

    def on_malformed(self) -> None:
        self._stop(MalformedRequestError("The bytes received are not HTTP."))

    def on_message_begin(self) -> None:
        self._begun += 1
        if max(self._begun, self.waiting_requests + 1) > MAX_WAITING:
            self._stop(None)
            raise StopReadingError
        super().on_message_begin()
        self._size.begin()
        self._since, self._has_begun, self._is_received = time.monotonic(), True, False

    def on_url(self, url: bytes) -> None:
        self._size.add_target(len(url))
        self._require_size()
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size.add_line(len(name) + len(value))
        self._require_size()
        if self._has_begun:  # else it is of a trailer, and could contradict what has been decided
            super().on_header(name, value)

    def on_head(self) -> None:
        self._size.forget_received()
        self._since, self._has_begun = None, False
        is_upload = self.request_method == b"POST" and self.is_idle
        if is_upload and self._state.slots.are_full:
            self._shed()
            return
        super().on_head()
        if is_upload:  # now, and not when it is the request's turn: many more heads may come before that
            self._new_slot = self.request_scope[SLOT] = self._state.slots.acquire()
        if self._state.draining:
            self.close_after_answer()  # the client's next request goes to a service that stays

    def on_body(self, body: bytes) -> None:
        self._size.forget_received()
        super().on_body(body)

    def on_received(self) -> None:
        self._size.forget_received()
        super().on_received()
        self._since, self._is_received = None, True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = time.monotonic()
        if not self._is_received:  # answered early; the rest of the body is discarded, but not for ever
            self._since = self._idle_since

    def resume_writing(self) -> None:
        self._outflow.note_progress()
        super().resume_writing()

    def _require_size(self) -> None:
        if self._size.is_too_large:
            self._stop(self._size.refusal())
            raise StopReadingError

    def _stop(self, exc: ServiceError | None) -> None:
        """Hear no more of the client: answer what waits, or refuse what it has begun, and close the connection."""
        self._is_deaf = True
        is_body = not self._is_received and not self._has_begun
        if is_body and self.may_still_refuse:
            self.abandon_request()
        elif self.waiting_requests:
            self.close_after_answer()
            return
        elif is_body:  # of a request that has been answered
            exc = None
        if exc is not None:
            self._refuse(exc)
        self._leaves_at = time.monotonic() + FAREWELL_SECONDS
        self.transport.write_eof()  # closed with bytes unread, the client might not see why

    def _shed(self) -> None:
        """Refuse an upload without making it a request."""
        request_id = choose_request_id(self.request_header(_ID).decode("latin-1"))
        keeps = self.wants_keep_alive and not self._state.draining
        self.discard_request()
        self.transport.write(self._overload(keeps=keeps).to_bytes(request_id, self.common_headers))
        self._state.slots.log_refusal(request_id)
        self.on_response_complete()
        if not keeps:
            self.transport.close()

    def _overload(self, *, keeps: bool) -> RawProblem:
        """Make, or find, the answer for an upload that gets no slot, and count it."""
        refusal = self._state.slots.refusal()
        self._state.metrics.problems.labels(refusal.code).inc()
        key = (refusal.retry_seconds, keeps)
        if key not in self._overloads:  # shared by all connections: under overload, most answers are of these
            self._overloads[key] = RawProblem(refusal, keeps=keeps)
        return self._overloads[key]

    def _refuse(self, exc: ServiceError) -> None:
        """Write a problem, as the application would, with which the connection ends."""
        request_id = choose_request_id("")
        self._state.metrics.problems.labels(exc.code).inc()
        logger.info("A connection was refused", extra={"code": exc.code, "request_id": request_id})
        self.transport.write(RawProblem(exc, keeps=False).to_bytes(request_id, self.common_headers))


def _freeing_slots(app: ASGIApp) -> ASGIApp:
    """Close an upload's slot when its answer begins, however long the client takes for that, or there is none."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        slot: UploadSlot | None = scope.get(SLOT)
        if slot is None:
            await app(scope, receive, send)
            return

        async def send_noticed(message: Message) -> None:
            slot.close()
            await send(message)

        try:
            await app(scope, receive, send_noticed)
        finally:
            slot.close()

    return answer
