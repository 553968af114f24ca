"""An upload on its way through the threads that decode and compute, and its answer on the way back."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import TypeVar

from model.classifier import Prediction
from model.preprocessing import Picture

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """An upload's answer, and the seconds each stage took; `queue_seconds` waited for a thread, before either."""

    prediction: Prediction
    picture: Picture
    decode_seconds: float
    queue_seconds: float
    inference_seconds: float


@dataclass(slots=True, eq=False)
class Job:
    """One upload. The thread that has it may write to it; whoever waits for its `answer` may cancel it."""

    data: bytes
    answer: asyncio.Future[Outcome]
    waiting_since: float = field(default_factory=time.perf_counter)
    queue_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def is_dropped(self) -> bool:
        """Tell whether nobody waits any more: the client left, or the deadline has passed."""
        return self.answer.cancelled()

    def starts(self, now: float) -> None:
        """Count the time that it waited."""
        self.queue_seconds += now - self.waiting_since


def settle(future: asyncio.Future[T], outcome: T | Exception) -> None:
    """Resolve `future`, on its event loop, unless whoever waited for it has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
