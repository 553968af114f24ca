"""The deadline of an answer, and clients that leave before it."""

import asyncio
from typing import Any, TypeVar

from starlette.types import Receive

from whisker.app.errors import ClientGoneError, DeadlineExceededError
from whisker.app.time_limits import UNWATCHED_SECONDS

T = TypeVar("T")


async def in_time(answer: asyncio.Future[T], receive: Receive, seconds: float) -> T:
    """Await `answer` for a client that has sent its whole body; cancel it when nobody needs it any more.

    Raises `DeadlineExceededError` after `seconds`, and `ClientGoneError` when the client closes the connection.
    """
    try:
        # Most answers come before a watch for the client's leaving has paid for itself.
        await asyncio.wait({answer}, timeout=min(seconds, UNWATCHED_SECONDS))
        if not answer.done():
            await _watch(answer, receive, max(0.0, seconds - UNWATCHED_SECONDS))
        if not answer.done():
            raise DeadlineExceededError(f"There was no answer within {seconds:g} seconds.")
        return answer.result()
    finally:
        answer.cancel()  # does nothing to one that is there


async def _watch(answer: asyncio.Future[T], receive: Receive, seconds: float) -> None:
    """Return when `answer` is there or `seconds` have passed; raise when the client has left."""
    leaving = asyncio.create_task(_disconnected(receive))
    watched: set[asyncio.Future[Any]] = {answer, leaving}
    try:
        done, _ = await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
    if leaving in done and answer not in done:
        raise ClientGoneError("The connection was closed before the answer was ready.")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
