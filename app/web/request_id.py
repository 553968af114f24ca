"""A name for each request, shared by its answer, its log lines and the client's own records."""

import re
import secrets
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.logs import request_context
from whisker.app.web.trace_context import TRACE, Trace, find_trace

HEADER = "X-Request-ID"
_HEADER = HEADER.lower().encode()
_NAMES = (b"x-request-id", b"x-correlation-id")  # under which clients send one; the first counts
# What UUIDs, ULIDs, base64 and trace ids need, and nothing that could break a log line or a header.
_VALID = re.compile(rb"[A-Za-z0-9._:=+/-]{1,128}")


def choose_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Keep the `X-Request-ID`, or else `X-Correlation-ID`, of a request if it is valid, or else make one up."""
    given = {name: value for name, value in headers if name in _NAMES}
    valid = (given[name].decode() for name in _NAMES if name in given and _VALID.fullmatch(given[name]))
    return next(valid, None) or secrets.token_hex(16)


class RequestIdMiddleware:
    """Give each request its id, and send it back with the answer; name the trace that it is part of."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = choose_request_id(scope["headers"])
        trace: Trace = scope.get(TRACE) or find_trace(scope["headers"])

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_HEADER, request_id.encode())]
                if trace.response:
                    message["headers"].append((b"traceresponse", trace.response.encode()))
            await send(message)

        with request_context(request_id, trace.fields):
            await self.app(scope, receive, send_with_id)
