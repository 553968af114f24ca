"""An HTTP connection: bounds the time for a request's head, owns an upload's slot, and refuses at little cost.

uvicorn times idle connections only: one that sends nothing at first, or a byte now and then, would stay open for as
long as it likes. (The time for a body is bounded in app/uploads/body_limits.py.) Under overload most requests are
refused, and each refusal takes from what is left to answer others: here it costs less than as an ASGI application.
"""

import time
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from whisker.app.errors import MalformedRequestError, RequestTimeoutError
from whisker.app.routes.state import AppState
from whisker.app.server.uvicorn_internals import HttpConnection
from whisker.app.time_limits import HEAD_SECONDS
from whisker.app.uploads.slots import SLOT, UploadSlot
from whisker.app.web.problems import MEDIA_TYPE, describe, problem_headers
from whisker.app.web.request_id import HEADER, choose_request_id
from whisker.app.web.security import CLOSED_POLICY, NOSNIFF

_ID = HEADER.lower().encode()


class Connection(HttpConnection):
    """Time the client, and answer with a problem what does not become a request."""

    def __init__(self, *args: Any, state: AppState, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wrap_application(_closing_slots)
        self._state = state
        self._since: float | None = time.monotonic()  # when the client had to send; `None` while it need not
        self._has_begun = False  # to send a request
        self._is_received = True
        self._new_slot: UploadSlot | None = None  # of an upload whose head has come in this moment

    def is_too_slow(self, now: float) -> bool:
        """Tell whether the client has let the service wait for too long."""
        return self._since is not None and now - self._since > HEAD_SECONDS

    def close_slow(self) -> None:
        """Close the connection of a client that is too slow, saying why if half a request has come."""
        if self._has_begun:
            self._refuse(RequestTimeoutError(f"The request's head was not complete after {HEAD_SECONDS:g} seconds."))
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        # Even line breaks, which belong to no request, stop uvicorn's clock for idle connections.
        if self._since is None and self.is_idle:
            self._since = time.monotonic()
        super().data_received(data)
        if self._new_slot is not None:
            if not self._is_received:
                self._new_slot.release_until_complete()
            self._new_slot = None

    def send_400_response(self, msg: str) -> None:
        del msg  # uvicorn's: there is but one
        if self.is_idle:
            self._refuse(MalformedRequestError("The bytes received are not HTTP."))
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since, self._has_begun, self._is_received = time.monotonic(), True, False

    def on_headers_complete(self) -> None:
        self._since, self._has_begun = None, False
        is_upload = self.request_method == b"POST" and self.is_idle
        if is_upload and self._state.slots.are_full:
            self._shed()
            return
        super().on_headers_complete()
        if is_upload:  # now, and not when it is the request's turn: many more heads may come before that
            self._new_slot = self.request_scope[SLOT] = self._state.slots.acquire()
        if self._state.draining:
            self.close_after_answer()  # the client's next request goes to a service that stays

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._since, self._is_received = None, True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_received:  # answered early; the rest of the body is discarded, but not for ever
            self._since = time.monotonic()

    def _shed(self) -> None:
        """Refuse an upload without making it a request."""
        request_id = choose_request_id(self.request_header(_ID).decode("latin-1"))
        keeps = self.wants_keep_alive and not self._state.draining
        self.discard_request()
        self._refuse(self._state.slots.refusal(), request_id, keeps=keeps)
        self._state.slots.log_refusal(request_id)
        self.on_response_complete()
        if not keeps:
            self.transport.close()

    def _refuse(self, exc: Exception, request_id: str = "", *, keeps: bool = False) -> None:
        """Write a problem, as the application would."""
        problem = describe(exc, self._state.metrics, request_id=request_id or choose_request_id(""))
        content = problem.model_dump_json().encode()
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(content)),
            HEADER: problem.request_id,
            **dict([NOSNIFF, CLOSED_POLICY]),
            **problem_headers(exc),
            **({} if keeps else {"Connection": "close"}),
        }
        head = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        common = b"".join([b"%b: %b\r\n" % header for header in self.common_headers])
        status = f"HTTP/1.1 {problem.status} {problem.title}\r\n"
        self.transport.write(b"%b%b%b\r\n%b" % (status.encode(), common, head.encode(), content))


def _closing_slots(app: ASGIApp) -> ASGIApp:
    """Close an upload's slot when its request has been answered, however that went."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            slot: UploadSlot | None = scope.get(SLOT)
            if slot is not None:
                slot.close()

    return answer
