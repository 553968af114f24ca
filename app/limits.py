"""What one client, or many, may ask of the service: bytes, uploads at once, and time."""

import asyncio
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLargeError, ClientGoneError, DeadlineExceededError, OverloadedError
from app.metrics import Metrics

T = TypeVar("T")
_UNWATCHED_SECONDS = 0.02


class BodyLimitMiddleware:
    """Refuse a body of too many bytes: from its declared length before any is read, else while it streams."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large()
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, receive_counted, send)

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"The request's body is larger than the {self._max_bytes:,} bytes that are accepted.")


class AdmissionMiddleware:
    """Refuse an upload, before its body is read, while as many as allowed are being answered.

    Only a POST carries a picture; health, readiness and metrics always pass.
    """

    def __init__(self, app: ASGIApp, *, max_in_flight: int, metrics: Metrics) -> None:
        self.app = app
        self._max_in_flight = max_in_flight
        self._metrics = metrics
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        if self._in_flight >= self._max_in_flight:
            raise OverloadedError("The service is answering as many uploads as it can; try again soon.")
        self._in_flight += 1
        self._metrics.in_flight.inc()
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()


async def in_time(answer: asyncio.Future[T], *, receive: Receive, seconds: float) -> T:
    """Await `answer` for a client that has sent its whole body; cancel it when nobody needs it any more.

    Raises `DeadlineExceededError` after `seconds`, and `ClientGoneError` when the client closes the connection.
    """
    try:
        # Most answers come before a watch for the client's leaving has paid for itself.
        await asyncio.wait({answer}, timeout=min(seconds, _UNWATCHED_SECONDS))
        if not answer.done():
            await _watch(answer, receive, max(0.0, seconds - _UNWATCHED_SECONDS))
        if not answer.done():
            raise DeadlineExceededError(f"There was no answer within {seconds:g} seconds.")
        return answer.result()
    finally:
        answer.cancel()  # does nothing to one that is there


async def _watch(answer: asyncio.Future[Any], receive: Receive, seconds: float) -> None:
    """Return when `answer` is there or `seconds` have passed; raise when the client has left."""
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        done, _ = await asyncio.wait({answer, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
    if leaving in done and answer not in done:
        raise ClientGoneError("The connection was closed before the answer was ready.")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
