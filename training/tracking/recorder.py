"""A tracker at work in a thread of its own: a slow or broken one neither slows nor stops the training."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from whisker.training.events.event import Epoch, Event, Finished, Plan
from whisker.training.tracking.tracker import Bookmark, Tracker

_MAX_WAITING = 1_000  # events, of which a training has one for each epoch; more are left out
_DRAIN_SECONDS = 60.0  # at the end, for what waits


class Recorder:
    """Notices a training's plan, epochs and end, and lets a tracker record them.

    The first error of the tracker is said in a sentence; after it, nothing is asked of it but to close.
    """

    def __init__(self, tracker: Tracker, complain: Callable[[str], None]) -> None:
        self._tracker, self._complain = tracker, complain
        self._waiting: queue.Queue[Plan | Epoch | Finished | None] = queue.Queue(_MAX_WAITING)
        self._bookmark: Bookmark | None = None
        self._failed = threading.Event()
        self._has_finished = False  # the training, whether or not all of it could be recorded
        self._thread = threading.Thread(target=self._work, name=f"record with {tracker.name}", daemon=True)
        self._thread.start()

    def notice(self, event: Event) -> None:
        """Hand an event to the tracker; never waits."""
        self._has_finished |= isinstance(event, Finished)
        if isinstance(event, Plan | Epoch | Finished) and not self._failed.is_set():
            try:
                self._waiting.put_nowait(event)
            except queue.Full:
                self._fail("it is too slow")

    def close(self) -> None:
        """Let the tracker record what waits, and end; waits a minute at most."""
        try:
            self._waiting.put(None, timeout=_DRAIN_SECONDS)
        except queue.Full:
            return
        self._thread.join(_DRAIN_SECONDS)
        if self._thread.is_alive():
            self._fail("it did not end in time")

    def _work(self) -> None:
        try:
            while (event := self._waiting.get()) is not None:
                self._record(event)
            self._end()
        except Exception as exc:  # noqa: BLE001 - whatever a library raises, the training goes on
            self._fail(self._tracker.explain(exc))
            with suppress(Exception):  # the first error is the one that was told
                self._tracker.close(failed=True)

    def _record(self, event: Plan | Epoch | Finished) -> None:
        match event:
            case Plan():
                bookmark = Bookmark(event, self._tracker)
                bookmark.write(self._tracker.begin(event, bookmark.read()))
                self._bookmark = bookmark
            case Epoch():
                self._tracker.log_epoch(event)
            case Finished() if self._bookmark is not None:
                self._tracker.finish(event)

    def _end(self) -> None:
        if self._bookmark is not None:
            if self._has_finished:
                self._bookmark.remove()
            self._tracker.close(failed=not self._has_finished)

    def _fail(self, reason: str) -> None:
        if not self._failed.is_set():
            self._failed.set()
            self._complain(
                f"Warning: {self._tracker.name} records nothing more of this training, which goes on: {reason}"
            )


@contextmanager
def recording(tracker: Tracker, complain: Callable[[str], None]) -> Iterator[Recorder]:
    """Record while the block runs."""
    recorder = Recorder(tracker, complain)
    try:
        yield recorder
    finally:
        recorder.close()
