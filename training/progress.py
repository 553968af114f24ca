"""Progress with rate and time left: a bar on a terminal, plain lines elsewhere."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_LINE_SECONDS = 20.0  # between two plain lines


class Task:
    """A piece of long work; `advance` it as the work is done."""

    def __init__(self, name: str, total: float, console: Console, bar: Bar | None, task_id: TaskID | None) -> None:
        self.done = 0.0
        self._photos = 0
        self._name, self._total, self._console, self._bar, self._id = name, total, console, bar, task_id
        self._started = self._last_line = time.monotonic()

    def advance(self, units: float, photos: int | None = None) -> None:
        """Add `units` of the total; `photos`, where it differs from `units`, is what the rate counts."""
        self.done += units
        self._photos += int(units) if photos is None else photos
        now = time.monotonic()
        rate = self._photos / max(now - self._started, 1e-9)
        if self._bar is not None and self._id is not None:
            self._bar.update(self._id, completed=self.done, rate=f"{rate:,.0f} photos/s")
        elif now - self._last_line >= _LINE_SECONDS or self.done >= self._total:
            self._last_line = now
            left = (now - self._started) * (self._total - self.done) / max(self.done, 1e-9)
            self._console.print(
                f"{self._name}: {self.done / self._total:.0%}, {rate:,.0f} photos/s, {duration(left)} left",
                highlight=False,
            )


class Progress:
    """Where a long command reports; `say` prints a line, `task` tracks a piece of work."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line of plain text."""
        self.console.print(text, markup=False, highlight=False)

    @contextmanager
    def task(self, name: str, total: float) -> Iterator[Task]:
        """Track `total` units of work."""
        if not self.console.is_terminal:
            yield Task(name, total, self.console, None, None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.percentage:>3.0f} %"))
        with Bar(*columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=self.console) as bar:
            yield Task(name, total, self.console, bar, bar.add_task(name, total=max(total, 1e-9), rate=""))


def silent() -> Progress:
    """Make a progress that prints to nowhere."""
    return Progress(Console(file=io.StringIO()))


def duration(seconds: float) -> str:
    """Write a duration as people say it: `45 s`, `12 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
