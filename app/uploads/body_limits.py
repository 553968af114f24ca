"""What one client, or many, may ask of the service: bytes, uploads at once, and time."""

import asyncio
import time
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import (
    BodyTooLargeError,
    OverloadedError,
    RequestTimeoutError,
)

T = TypeVar("T")
_UNWATCHED_SECONDS = 0.02
_FIRST_SECONDS = 10.0  # that a body may take, however short
_MIN_RATE = 16_000  # bytes a second


class BodyLimitMiddleware:
    """Refuse a body of too many bytes, from its declared length before any is read, or one that comes too slowly.

    All bodies that are held at once have a limit, too. A body may take 10 s and what its bytes take at 16 kB/s, a
    phone's upload on a bad day, but no longer than `max_seconds`.
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
                return await receive()  # of the client's leaving
            seconds = min(self._max_seconds, _FIRST_SECONDS + received / _MIN_RATE)
            try:
                async with asyncio.timeout(since + seconds - time.monotonic()):
                    message = await receive()
            except TimeoutError as exc:
                raise RequestTimeoutError(
                    f"The body was not complete after {time.monotonic() - since:.0f} seconds."
                ) from exc
            size = len(message.get("body", b""))
            received += size
            self._held += size
            if received > self._max_bytes:
                raise self._too_large()
            if self._held > self._max_held_bytes:
                raise OverloadedError("The service holds as many uploads as its memory is for; try again soon.")
            is_complete = not message.get("more_body", False)
            return message

        try:
            await self.app(scope, receive_counted, send)
        finally:
            self._held -= received

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"The request's body is larger than the {self._max_bytes:,} bytes that are accepted.")
