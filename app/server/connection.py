"""An HTTP connection: times the client, owns an upload's slot, and refuses at little cost.

uvicorn times idle connections only, with a timer for each: one that sends nothing at first, or a byte now and then,
would stay open for as long as it likes, and so would one that takes no answer. (The time for a body is bounded in
app/uploads/body_limits.py.) Under overload most requests are refused, and each refusal takes from what is left to
answer others: here it costs less than as an ASGI application.
"""

import logging
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import RequestTimeoutError, ServiceError
from whisker.app.routes.state import AppState
from whisker.app.server.bounded_connection import BoundedConnection
from whisker.app.server.outflow import Outflow
from whisker.app.server.raw_problem import RawProblem
from whisker.app.time_limits import HEAD_SECONDS
from whisker.app.uploads.body_limits import HAS_RECEIVED
from whisker.app.uploads.slots import SLOT, UploadSlot
from whisker.app.web.request_id import choose_request_id

_RESET = struct.pack("ii", 1, 0)  # lingers for 0 seconds

logger = logging.getLogger(__name__)


class Connection(BoundedConnection):
    """Answer with a problem what does not become a request, and close the connection of a client that is too slow."""

    _overloads: ClassVar[dict[tuple[int, bool], RawProblem]] = {}

    def __init__(self, *args: Any, state: AppState, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wrap_application(_freeing_slots)
        self._state = state
        self._idle_since = time.monotonic()
        self._since: float | None = self._idle_since  # when the client had to send; `None` while it need not
        self._new_slot: UploadSlot | None = None  # of an upload whose head has come in this moment
        self._outflow = Outflow()

    def look(self, now: float, take_seconds: float) -> None:
        """Close the connection if the client lets the service wait for too long, or takes no answer for so long."""
        if self._outflow.is_stuck(self.unsent_bytes, now, take_seconds):
            self.abort("A client does not take its answer")
        elif self.leaves_at is not None:
            if now >= self.leaves_at:
                self.transport.close()
        elif self._since is None:
            if self.is_idle and now - self._idle_since > self._state.settings.keep_alive_seconds:
                self.transport.close()
        elif now - self._since > HEAD_SECONDS:
            if self.receives_head and self.is_idle:
                reason = f"The request's head was not complete after {HEAD_SECONDS:g} seconds."
                self.refuse(RequestTimeoutError(reason))
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

    def receive(self, data: bytes) -> None:
        if self._since is None and self.is_idle:  # even line breaks, which belong to no request, are a beginning
            self._since = time.monotonic()
        super().receive(data)
        if self._new_slot is not None:
            if self.receives_body:
                self._new_slot.release_until_complete()
            self._new_slot = None

    def refuse(self, exc: ServiceError) -> None:
        request_id = choose_request_id(self._headers_so_far())
        self._state.metrics.problems.labels(exc.code).inc()
        logger.info("A connection was refused", extra={"code": exc.code, "request_id": request_id})
        self.transport.write(RawProblem(exc, keeps=False).to_bytes(request_id, self._shared_headers()))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since = time.monotonic()

    def on_head(self) -> None:
        self._since = None
        super().on_head()

    def on_request(self) -> None:
        is_upload = self.request_method == b"POST" and self.is_idle
        if is_upload and self._state.slots.are_full:
            self._shed()
            return
        super().on_request()
        self.request_scope[HAS_RECEIVED] = self.has_received
        # Now, and not when it is the request's turn: many more heads may come before that. Without a key, if there is
        # one, the upload will be refused.
        if is_upload and self._state.key.allows(self.request_scope):
            self._new_slot = self.request_scope[SLOT] = self._state.slots.acquire()
        if self._state.draining:
            self.close_after_answer()  # the client's next request goes to a service that stays

    def on_received(self) -> None:
        super().on_received()
        self._since = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = time.monotonic()
        if self.receives_body:  # answered early; the rest of the body is discarded, but not for ever
            self._since = self._idle_since

    def resume_writing(self) -> None:
        self._outflow.note_progress()
        super().resume_writing()

    def _shed(self) -> None:
        """Refuse an upload without making it a request."""
        request_id = choose_request_id(self.request_headers)
        keeps = self.wants_keep_alive and not self._state.draining
        self.discard_request()
        self.transport.write(self._overload(keeps=keeps).to_bytes(request_id, self._shared_headers()))
        self._state.slots.log_refusal(request_id)
        self.on_response_complete()
        if not keeps:
            self.transport.close()

    def _shared_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """List the headers of every answer, and those without which a browser keeps it from a page that may have it."""
        origins = self._state.origins
        if not origins:
            return self.common_headers
        told = origins.answer_headers(self.request_path, self.request_method.decode(), self._headers_so_far())
        return [*self.common_headers, *told]

    def _headers_so_far(self) -> Sequence[tuple[bytes, bytes]]:
        """List the headers that have come of the request that is being received, but none of one before it."""
        return self.request_headers if self.receives_head or self.receives_body else ()

    def _overload(self, *, keeps: bool) -> RawProblem:
        """Make, or find, the answer for an upload that gets no slot, and count it."""
        refusal = self._state.slots.refusal()
        self._state.metrics.problems.labels(refusal.code).inc()
        key = (refusal.retry_seconds, keeps)
        if key not in self._overloads:  # shared by all connections: under overload, most answers are of these
            self._overloads[key] = RawProblem(refusal, keeps=keeps)
        return self._overloads[key]


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
