"""What becomes of the uploads that a worker had when it ended."""

import time
from itertools import chain

from whisker.app.errors import InferenceFailedError
from whisker.app.inference.requests import PendingPrediction, set_result_if_waiting
from whisker.app.inference.worker_handle import WorkerHandle
from whisker.model.errors import UndecodablePictureError

_SAME_MOMENT_SECONDS = 0.25


def settle_lost(worker: WorkerHandle, stall_seconds: float) -> list[PendingPrediction]:
    """Refuse those that may be why the worker has ended; return the others, in their order, to be tried once more.

    Those that it was working on are suspects from now on: a suspect whose second worker ends, too, is refused. A worker
    that was stalled was killed for the one picture that it had for more than `stall_seconds`.
    """
    current = worker.batches.popleft() if worker.batches else []
    waiting = [*chain.from_iterable(worker.batches)]
    if worker.was_stalled and len(current) == 1:
        _refuse(current[0], f"The picture cannot be decoded within {stall_seconds:g} seconds.")
        return waiting
    return [pending for pending in current if _is_tried_again(pending)] + waiting


def _is_tried_again(pending: PendingPrediction) -> bool:
    """Tell whether a picture, whose worker has ended while it worked on it, is tried once more; refuse it if not."""
    if pending.is_spare:
        set_result_if_waiting(pending.result, InferenceFailedError("The process that drew the picture has ended."))
        return False
    if not pending.is_suspect:
        pending.is_suspect, pending.suspect_since = True, time.perf_counter()
        return True
    if _is_same_moment(pending):
        return True
    _refuse(pending, "The picture cannot be decoded: the processes that tried have ended.")
    return False


def _refuse(pending: PendingPrediction, reason: str) -> None:
    set_result_if_waiting(pending.result, UndecodablePictureError(reason))


def _is_same_moment(pending: PendingPrediction) -> bool:
    """Tell, once, whether a second worker has ended with the first: whoever ended both, it was hardly the picture."""
    since, pending.suspect_since = pending.suspect_since, 0.0
    return time.perf_counter() - since < _SAME_MOMENT_SECONDS
