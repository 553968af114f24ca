"""How many bytes a body may have, how many all bodies together, and how slowly they may come."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import BodyTooLargeError, OverloadedError, RequestTimeoutError
from whisker.app.time_limits import body_seconds
from whisker.app.uploads.held_bytes import HeldBytes, HeldUpload

# Where a request's scope has what tells whether there is something to receive at once. Only a server knows that; what
# changes a body on its way takes it out.
HAS_RECEIVED = "whisker.has_received"


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
        declared = declared_length(scope)
        if declared > self._max_bytes:
            raise self._too_large(f"{declared:,} bytes")
        has_received: Callable[[], bool] = scope.get(HAS_RECEIVED, _knows_nothing)
        upload, since = self._held.open(), time.monotonic()

        async def receive_counted() -> Message:
            if upload.is_complete:
                return await receive()  # that the client has left
            # A timer costs more than to take what is there, and most bodies come in one piece with their head.
            message = await (receive() if has_received() else self._receive_in_time(receive, upload, since))
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


def declared_length(scope: Scope) -> int:
    """Give the bytes that a request says it has; 0 if it does not, or says no number."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(declared) if declared.isdigit() else 0


def _knows_nothing() -> bool:
    return False
