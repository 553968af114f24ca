"""A name for each request, shared by its answer, its log lines and the client's own records."""

import re
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
# What UUIDs, ULIDs, base64 and trace ids need, and nothing that could break a log line or a header.
_SANE = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Return the id of the request being answered, or "" outside of one."""
    return _current.get()


def choose_request_id(given: str) -> str:
    """Take what the client has sent as `X-Request-ID` if it is sane, else make one up."""
    return given if _SANE.fullmatch(given) else uuid4().hex


class RequestIdMiddleware:
    """Give each request its id, and send it back with the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = choose_request_id(Headers(scope=scope).get(HEADER, ""))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        token = _current.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _current.reset(token)
