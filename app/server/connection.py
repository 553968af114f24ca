"""uvicorn's HTTP connection, made to last: it bounds how long a request's head may take, and refuses at little cost.

uvicorn times idle connections only: one that sends nothing at first, or a byte now and then, would stay open for as
long as it likes. How long a body may take is bounded in `whisker.app.uploads.body_limits`. Under overload most requests are refused, and
each refusal takes from what is left to answer others: here it costs less than as an ASGI application.
"""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from starlette.datastructures import State
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from whisker.app.errors import MalformedRequestError, RequestTimeoutError
from whisker.app.uploads.slots import PLACE, Admission, Place
from whisker.app.web.problems import MEDIA_TYPE, describe, problem_headers
from whisker.app.web.request_id import HEADER, choose_request_id
from whisker.app.web.security import CLOSED_POLICY, NOSNIFF

_HEAD_SECONDS = 10.0
_ID = HEADER.lower().encode()
# Stands for a request that has been answered, while the rest of its body is thrown away.
_ANSWERED: Any = SimpleNamespace(response_complete=True, disconnected=False, message_event=asyncio.Event())


class Connection(HttpToolsProtocol):
    """Note since when the client is expected to send; answer with problems what is not to become a request.

    `state` is the application's: its metrics, its admission, and whether it is draining.
    """

    def __init__(self, *args: Any, state: State, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application, self.app = self.app, self._run
        self._state = state
        self._admission: Admission = state.admission
        self._since: float | None = time.monotonic()  # `None` while nothing, or the next request, is expected
        self._has_begun = False  # to send a request
        self._is_received = True
        self._place: Place | None = None

    def is_too_slow(self, now: float) -> bool:
        """Tell whether the client has let the service wait for too long."""
        return self._since is not None and now - self._since > _HEAD_SECONDS

    def give_up(self) -> None:
        """Close the connection, saying why if half a request has come."""
        if self._has_begun:
            self._refuse(RequestTimeoutError(f"The request's head was not complete after {_HEAD_SECONDS:g} seconds."))
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        # Even line breaks, which belong to no request, stop uvicorn's clock for idle connections.
        if self._since is None and self._is_idle:
            self._since = time.monotonic()
        super().data_received(data)
        if self._place is not None:
            if not self._is_received:
                self._admission.lend(self._place)
            self._place = None

    def send_400_response(self, msg: str) -> None:
        del msg  # uvicorn's: there is but one
        if self._is_idle:
            self._refuse(MalformedRequestError("What was sent is not HTTP."))
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since, self._has_begun, self._is_received = time.monotonic(), True, False

    def on_headers_complete(self) -> None:
        self._since, self._has_begun = None, False
        is_upload = self.parser.get_method() == b"POST" and self._is_idle
        if is_upload and self._admission.is_full:
            self._shed()
            return
        super().on_headers_complete()
        if is_upload:  # now, and not when it is the request's turn: many more heads may come before that
            self._place = self.scope[PLACE] = self._admission.begin()  # type: ignore[literal-required]
        if self._state.draining:
            self.cycle.keep_alive = False  # the client's next request goes to a service that stays

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._since, self._is_received = None, True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_received:  # answered early; what is left of the body is thrown away, but not for ever
            self._since = time.monotonic()

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._application(scope, receive, send)
        finally:
            if place := scope.get(PLACE):
                self._admission.end(place)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _shed(self) -> None:
        """Refuse an upload without making it a request."""
        given = next((value for name, value in self.headers if name == _ID), b"")
        request_id = choose_request_id(given.decode("latin-1"))
        keeps = self.parser.should_keep_alive() and not self._state.draining
        self.cycle = _ANSWERED
        self._refuse(self._admission.refusal(), request_id, keeps=keeps)
        self._admission.log_refusal(request_id)
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
        dated = b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])
        status = f"HTTP/1.1 {problem.status} {problem.title}\r\n"
        self.transport.write(b"%b%b%b\r\n%b" % (status.encode(), dated, head.encode(), content))
