"""The deadline of an answer, and clients that leave before it."""

import asyncio
from typing import TypeVar

from starlette.types import Receive

from whisker.app.errors import ClientGoneError, DeadlineExceededError
from whisker.app.time_limits import UNWATCHED_SECONDS

T = TypeVar("T")


async def in_time(answer: asyncio.Future[T], receive: Receive, seconds: float) -> T:
    """Await `answer` for a client that has sent its whole body; cancel it when nobody needs it any more.

    Raises `DeadlineExceededError` after `seconds`, and `ClientGoneError` when the client closes the connection.
    """
    watch = _Watch(answer, receive, seconds)
    try:
        return await answer
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if watch.reason is None or (task is not None and task.cancelling()):
            raise
        raise watch.reason from None
    finally:
        watch.close()
        answer.cancel()  # does nothing to one that is there


class _Watch:
    """Cancels an answer when its deadline has passed, or its client has left, and remembers which."""

    def __init__(self, answer: asyncio.Future[T], receive: Receive, seconds: float) -> None:
        self.reason: BaseException | None = None
        self._answer = answer
        self._receive = receive
        self._seconds = seconds
        self._loop = answer.get_loop()
        self._leaving: asyncio.Task[None] | None = None
        # Most answers come before a watch for the client's leaving has paid for itself.
        self._timer = self._loop.call_later(min(seconds, UNWATCHED_SECONDS), self._begin)

    def close(self) -> None:
        """Watch no more."""
        self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()

    def _begin(self) -> None:
        self._timer = self._loop.call_later(max(0.0, self._seconds - UNWATCHED_SECONDS), self._end)
        self._leaving = self._loop.create_task(_disconnected(self._receive))
        self._leaving.add_done_callback(self._left)

    def _end(self) -> None:
        self._give_up(DeadlineExceededError(f"There was no answer within {self._seconds:g} seconds."))

    def _left(self, leaving: asyncio.Task[None]) -> None:
        if not leaving.cancelled():
            gone = ClientGoneError("The connection was closed before the answer was ready.")
            self._give_up(leaving.exception() or gone)

    def _give_up(self, reason: BaseException) -> None:
        if not self._answer.done():
            self.reason = reason
            self._answer.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
