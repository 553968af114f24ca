"""An upload on its way to an inference worker, and its result on the way back."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import TypeVar

from whisker.app.inference.wire import PredictionDocument, PredictionOptions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PredictionResult:
    """An upload's prediction, as it goes to the client, and the seconds that each stage took.

    `queue_seconds` is all that is not decoding or inference. `drawing` is a picture file, `descriptor` tells how alike
    pictures are; both are empty unless asked for.
    """

    prediction: PredictionDocument
    decode_seconds: float
    queue_seconds: float
    inference_seconds: float
    drawing: bytes = b""
    descriptor: bytes = b""


@dataclass(slots=True, eq=False)
class PendingPrediction:
    """One upload and its options; cancelling its `result` drops it."""

    data: bytes
    options: PredictionOptions
    result: asyncio.Future[PredictionResult]
    has_company: bool = False  # other pictures of the same request
    slot: int = 0  # of the model that is to answer
    is_spare: bool = False  # no client waits for it, so that it gives way
    since: float = field(default_factory=time.perf_counter)
    is_suspect: bool = False  # a worker ended while it had this
    suspect_since: float = 0.0
    is_heavy: bool = False  # one that light ones do not wait for
    is_large: bool = False  # heavy, and decoded while no other such picture is

    @property
    def is_dropped(self) -> bool:
        """Tell whether nobody waits for the result: the client has left, or the deadline has passed."""
        return self.result.cancelled()


def set_result_if_waiting(future: asyncio.Future[T], result: T | Exception) -> None:
    """Resolve `future`, unless it was cancelled."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
