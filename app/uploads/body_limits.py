"""How many bytes a body may have, how many all bodies together, and how slowly they may come."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import BodyTooLargeError, OverloadedError, RequestTimeoutError
from whisker.app.time_limits import body_seconds


class BodyLimitMiddleware:
    """Refuse a body with too many bytes, if possible by its declared length, and one that comes too slowly.

    All bodies in memory have a limit together, too. `max_seconds` is the longest time for a body, see `body_seconds`.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_held_bytes: int, max_seconds: float) -> None:
        self.app = app
        self._max_bytes = max_bytes
        self._max_held_bytes = max_held_bytes
        self._max_seconds = max_seconds
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large()
        received, since, is_complete = 0, time.monotonic(), False

        async def receive_counted() -> Message:
            nonlocal received, is_complete
            if is_complete:
                return await receive()  # that the client has left
            message = await self._receive_in_time(receive, received, since)
            size = len(message.get("body", b""))
            received += size
            self._held += size
            if received > self._max_bytes:
                raise self._too_large()
            if self._held > self._max_held_bytes:
                raise OverloadedError("The service holds as many uploads as its memory allows; try again soon.")
            is_complete = not message.get("more_body", False)
            return message

        try:
            await self.app(scope, receive_counted, send)
        finally:
            self._held -= received

    async def _receive_in_time(self, receive: Receive, received: int, since: float) -> Message:
        try:
            async with asyncio.timeout(since + body_seconds(received, self._max_seconds) - time.monotonic()):
                return await receive()
        except TimeoutError as exc:
            seconds = time.monotonic() - since
            raise RequestTimeoutError(f"The body was not complete after {seconds:.0f} seconds.") from exc

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"The request's body is larger than the {self._max_bytes:,} bytes that are accepted.")
