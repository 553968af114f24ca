"""An upload on its way to the process that decodes and computes, and its answer on the way back."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

from whisker.app.inference.batch_handler import Ask

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """An upload's answer, as it goes to the client, and the seconds each stage took; `queue_seconds` is the rest.

    `rendering` is a picture file, empty unless it was asked for.
    """

    prediction: dict[str, Any]
    decode_seconds: float
    queue_seconds: float
    inference_seconds: float
    rendering: bytes = b""


@dataclass(slots=True, eq=False)
class Job:
    """One upload, and what is asked of it; whoever waits for its `answer` may cancel it."""

    data: bytes
    ask: Ask
    answer: asyncio.Future[Outcome]
    since: float = field(default_factory=time.perf_counter)
    is_suspect: bool = False  # a lane ended while it had this
    is_heavy: bool = False  # decoded when no other such picture is

    @property
    def is_dropped(self) -> bool:
        """Tell whether nobody waits any more: the client left, or the deadline has passed."""
        return self.answer.cancelled()


def settle(future: asyncio.Future[T], outcome: T | Exception) -> None:
    """Resolve `future` unless whoever waited for it has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
