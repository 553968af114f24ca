"""What is known of a training so far: events go in, and snapshots for the page come out, from any thread."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace

from whisker.training.events.event import Advance, Epoch, Event, Finished, Line, Plan, Stage, StageEnd

_MAX_LINES = 400  # kept of what is printed; a training prints some dozens, and a line for each epoch
_MAX_STAGES = 60


@dataclass(frozen=True, slots=True)
class TimedStage:
    """A stage, and the seconds that it took or has taken so far."""

    name: str
    started: float
    ended: float | None = None

    def seconds(self, now: float) -> float:
        """Give the seconds until `now`, at most."""
        return (now if self.ended is None else self.ended) - self.started


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a page shows, at one time; times are of `time.monotonic`."""

    name: str
    version: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    plan: Plan | None = None
    stages: tuple[TimedStage, ...] = ()
    advance: Advance | None = None
    epochs: tuple[Epoch, ...] = ()
    lines: tuple[Line, ...] = ()
    skipped_lines: int = 0
    finished: Finished | None = None
    result: tuple[Line, ...] = ()  # what was said after the end
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing will follow."""
        return self.ended is not None

    @property
    def stage(self) -> TimedStage | None:
        """Give the stage that work is in."""
        return self.stages[-1] if self.stages and self.stages[-1].ended is None else None


class Watched:
    """A training that is watched; `notice` takes microseconds, and never waits for a reader."""

    def __init__(self, name: str) -> None:
        self._changed = threading.Condition()
        self._stages: deque[TimedStage] = deque(maxlen=_MAX_STAGES)
        self._lines: deque[Line] = deque(maxlen=_MAX_LINES)
        self._epochs: list[Epoch] = []
        self._result: list[Line] = []
        self._said = 0
        self._state = Snapshot(name)

    def notice(self, event: Event) -> None:
        """Take in what has happened."""
        with self._changed:
            self._take(event)
            self._state = replace(self._state, version=self._state.version + 1)
            self._changed.notify_all()

    def end(self, error: str = "") -> None:
        """Say that nothing will follow, because of an error if there is one."""
        now = time.monotonic()
        with self._changed:
            self._end_stage(now)
            self._state = replace(self._state, version=self._state.version + 1, ended=now, error=error, advance=None)
            self._changed.notify_all()

    def snapshot(self, after: int = -1, wait: float = 0.0) -> Snapshot:
        """Give the present state; wait at most so many seconds for one with a version `after` another."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.version > after, wait)
            return replace(
                self._state,
                stages=tuple(self._stages),
                epochs=tuple(self._epochs),
                lines=tuple(self._lines),
                skipped_lines=self._said - len(self._lines),
                result=tuple(self._result),
            )

    def _take(self, event: Event) -> None:
        match event:
            case Line():
                self._lines.append(event)
                self._said += 1
                if self._state.finished is not None:
                    self._result.append(event)
            case Stage():
                now = time.monotonic()
                self._end_stage(now)
                self._stages.append(TimedStage(event.name, now))
                self._state = replace(self._state, advance=None)
            case StageEnd():
                self._end_stage(time.monotonic())
                self._state = replace(self._state, advance=None)
            case Advance():
                self._state = replace(self._state, advance=event)
            case Epoch():
                self._epochs.append(event)
            case Plan():
                self._state = replace(self._state, plan=event, name=event.name)
            case Finished():
                self._end_stage(time.monotonic())
                self._state = replace(self._state, finished=event, advance=None)

    def _end_stage(self, now: float) -> None:
        if self._stages and self._stages[-1].ended is None:
            self._stages[-1] = replace(self._stages[-1], ended=now)
