"""How many bytes a body may have, how many all bodies together, and how slowly they may come."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import BodyTooLargeError, OverloadedError, RequestTimeoutError
from whisker.app.time_limits import body_seconds
from whisker.app.uploads.held_bytes import HeldBytes, HeldUpload


class BodyLimitMiddleware:
    """Refuse a body with too many bytes, if possible by its declared length, and one that comes too slowly.

    All bodies in memory have a limit together, too. `max_seconds` is the longest time for a body, see `body_seconds`.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_held_bytes: int, max_seconds: float) -> None:
        self.app = app
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._held = HeldBytes(max_held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large(f"{int(declared):,} bytes")
        upload, since = self._held.open(), time.monotonic()

        async def receive_counted() -> Message:
            if upload.is_complete:
                return await receive()  # that the client has left
            message = await self._receive_in_time(receive, upload, since)
            size = len(message.get("body", b""))
            if upload.size + size > self._max_bytes:
                raise self._too_large("more")
            self._held.add(upload, size)
            upload.is_complete = not message.get("more_body", False)
            return message

        try:
            await self.app(scope, receive_counted, send)
        finally:
            self._held.close(upload)

    async def _receive_in_time(self, receive: Receive, upload: HeldUpload, since: float) -> Message:
        try:
            deadline = since + body_seconds(upload.size, self._max_seconds)
            async with asyncio.timeout(deadline - time.monotonic()) as upload.timeout:
                return await receive()
        except TimeoutError as exc:
            if upload.gives_way:
                raise OverloadedError("The upload was too slow while others needed its memory; try again.") from exc
            seconds = time.monotonic() - since
            raise RequestTimeoutError(f"The body was not complete after {seconds:.0f} seconds.") from exc
        finally:
            upload.timeout = None

    def _too_large(self, size: str) -> BodyTooLargeError:
        return BodyTooLargeError(f"The request's body has {size}, but {self._max_bytes:,} bytes are accepted.")
