"""What is there at once is taken without a timer; what is not is timed as before."""

import asyncio
import zlib

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import RequestTimeoutError
from whisker.app.uploads.body_limits import HAS_RECEIVED, BodyLimitMiddleware
from whisker.app.uploads.encodings import EncodedBodyMiddleware

pytestmark = pytest.mark.anyio


async def _take(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive()).get("more_body"):
        pass


async def _drop(_message: Message) -> None:
    """Send nothing."""


def limited(app: ASGIApp = _take) -> ASGIApp:
    return BodyLimitMiddleware(app, max_bytes=100, max_held_bytes=100, max_seconds=0)


async def answer(app: ASGIApp, pieces: list[bytes], *, coding: bytes = b"") -> None:
    """Let an application receive pieces of a body that all have come, and then wait for more that never comes."""
    coming = [*pieces]

    async def receive() -> Message:
        if not coming:
            await asyncio.Event().wait()
        for _ in range(3):  # long enough for a timer that is due
            await asyncio.sleep(0)
        return {"type": "http.request", "body": coming.pop(0), "more_body": len(pieces) > 1}

    headers = [(b"content-encoding", coding)] if coding else []
    scope = {"type": "http", "method": "POST", "headers": headers, HAS_RECEIVED: lambda: bool(coming)}
    await app(scope, receive, _drop)


async def test_body_that_is_there_is_taken_however_late_it_is() -> None:
    await answer(limited(), [b"photo"])


async def test_wait_for_the_rest_of_a_body_is_timed() -> None:
    with pytest.raises(RequestTimeoutError):
        await answer(limited(), [b"pho", b"to"])


async def test_compressed_body_that_has_brought_forth_nothing_is_timed() -> None:
    start = zlib.compress(b"photo")[:2]  # of which nothing comes out yet
    with pytest.raises(RequestTimeoutError):
        await answer(EncodedBodyMiddleware(limited(), max_bytes=100), [start, b""], coding=b"deflate")
