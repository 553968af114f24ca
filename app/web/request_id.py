"""A name for each request, shared by its answer, its log lines and the client's own records."""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.logs import request_id_context

HEADER = "X-Request-ID"
# What UUIDs, ULIDs, base64 and trace ids need, and nothing that could break a log line or a header.
_VALID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")


def choose_request_id(given: str) -> str:
    """Keep the `X-Request-ID` that the client has sent if it is valid, or else make one up."""
    return given if _VALID.fullmatch(given) else secrets.token_hex(16)


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

        with request_id_context(request_id):
            await self.app(scope, receive, send_with_id)
