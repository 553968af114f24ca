"""A position for an inference worker: whoever holds it and ends is replaced, however often that has to be tried."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from whisker.app import time_limits
from whisker.app.inference.worker_handle import WorkerHandle

logger = logging.getLogger(__name__)


class Position:
    """Keep one position filled; `open_worker` starts a worker and returns it when it is ready."""

    def __init__(self, holder: WorkerHandle, open_worker: Callable[[], Awaitable[WorkerHandle]]) -> None:
        self._holder = holder
        self._open_worker = open_worker
        self._vain_starts = 0  # in a row, of workers that ended before they were of use
        self._failing_since: float | None = None

    def is_vacant(self, seconds: float) -> bool:
        """Tell whether, for more than `seconds`, no worker could be started here, or none has lasted."""
        since = self._failing_since
        is_held = self._holder.has_proved and not self._holder.ended.is_set()
        return since is not None and not is_held and time.perf_counter() - since > seconds

    async def keep_filled(self) -> None:
        """Wait for the holder's end and replace it, for ever."""
        while True:
            await self._holder.ended.wait()
            since, lost = time.perf_counter(), self._holder
            self._vain_starts = 0 if lost.has_proved else self._vain_starts + 1
            self._failing_since = self._failing_since if self._vain_starts > 1 else None
            await self._bury(lost)
            if self._vain_starts > 1:
                await self._pause_after_vain_starts(lost, since)
            self._holder = await self._replacement(lost, since)
            if self._vain_starts < 2:
                self._failing_since = None

    async def _bury(self, lost: WorkerHandle) -> None:
        try:
            code = await lost.end(0)
        except Exception:  # whatever it is: the next one must be started
            code = None
            logger.exception("An inference worker cannot be ended")
        logger.error(
            "An inference worker has ended",
            extra={"inference_worker": lost.pid, "exit_code": code, "uploads": lost.uploads_at_end},
        )

    async def _pause_after_vain_starts(self, lost: WorkerHandle, since: float) -> None:
        """Wait longer and longer, unless it may be the uploads that end the workers: who sends them sets no pace."""
        delay = retry_delay(1 if lost.uploads_at_end else self._vain_starts - 1)
        if not lost.uploads_at_end:
            self._failing_since = self._failing_since or since
        logger.error("An inference worker did not last", extra={"starts": self._vain_starts, "retry_in_seconds": delay})
        await asyncio.sleep(delay)

    async def _replacement(self, lost: WorkerHandle, since: float) -> WorkerHandle:
        failures = 0
        about = {"inference_worker": lost.pid}
        while True:
            try:
                worker = await self._open_worker()
            except Exception as exc:  # whatever it is: without another attempt, the capacity would be lost for good
                failures += 1
                self._failing_since = self._failing_since or since
                delay = retry_delay(failures)
                logger.error(  # noqa: TRY400 - the traceback once is enough
                    "An inference worker could not be started",
                    exc_info=exc if failures == 1 else None,
                    extra={**about, "reason": str(exc), "retry_in_seconds": delay},
                )
                await asyncio.sleep(delay)
            else:
                logger.info("An inference worker was replaced", extra=about)
                return worker


def retry_delay(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return min(time_limits.MAX_RETRY_SECONDS, time_limits.RETRY_SECONDS * 2.0 ** min(failures - 1, 10))
