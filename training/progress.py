"""Progress with rate and remaining time: a bar on a terminal, plain lines elsewhere, and events for observers."""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from whisker.model.plain_text import printable
from whisker.training.events.event import Advance, Event, Line, Observer, Stage, StageEnd, Step


class Task:
    """A piece of long work; `advance` it as the work is done.

    On a terminal, `bar` shows it as `task_id`; elsewhere it prints a line every `line_seconds`, and one at the end.
    """

    def __init__(
        self,
        name: str,
        total: float,
        console: Console,
        *,
        line_seconds: float,
        bar: Bar | None = None,
        task_id: TaskID | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.done = 0.0
        self._photos = 0
        self._name, self._total, self._console, self._bar, self._id = name, total, console, bar, task_id
        self._line_seconds, self._observers = line_seconds, observers
        self._started = self._last_line = time.monotonic()

    def advance(self, units: float, photos: int | None = None, *, step: Step | None = None) -> None:
        """Add `units` of the total; the rate counts `photos`, by default as many as `units`.

        The `step` that was taken is for observers only.
        """
        self.done += units
        self._photos += int(units) if photos is None else photos
        now = time.monotonic()
        rate = self._photos / max(now - self._started, 1e-9)
        left = (now - self._started) * (self._total - self.done) / max(self.done, 1e-9)
        self.tell(Advance(self.done, self._total, rate, left, step))
        if self._bar is not None and self._id is not None:
            self._bar.update(self._id, completed=self.done, rate=f"{rate:,.0f} photos/s")
        elif now - self._last_line >= self._line_seconds or self.done >= self._total:
            self._last_line = now
            self._console.print(
                f"{self._name}: {self.done / self._total:.0%}, {rate:,.0f} photos/s, {duration(left)} left",
                highlight=False,
            )

    def tell(self, event: Event) -> None:
        """Tell the observers, and print nothing."""
        for observer in self._observers:
            observer(event)


class Progress:
    """The output of a long command: `say` prints a line, `task` tracks a piece of work; `observers` are told of both.

    Where the console is no terminal, a task prints a line every `line_seconds`.
    """

    def __init__(
        self, console: Console | None = None, *, line_seconds: float = 20.0, observers: Sequence[Observer] = ()
    ) -> None:
        self.console = console or Console(soft_wrap=True)
        self._line_seconds, self._observers = line_seconds, observers

    def say(self, text: str) -> None:
        """Print one line of plain text, whatever names it holds."""
        line = printable(text)
        self.console.print(Text(line), highlight=False)
        self.tell(Line(line))

    def tell(self, event: Event) -> None:
        """Tell the observers, and print nothing."""
        for observer in self._observers:
            observer(event)

    @contextmanager
    def task(self, name: str, total: float) -> Iterator[Task]:
        """Track `total` units of work."""
        self.tell(Stage(name))
        if not self.console.is_terminal:
            yield Task(name, total, self.console, line_seconds=self._line_seconds, observers=self._observers)
            self.tell(StageEnd())
            return
        columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.percentage:>3.0f} %"))
        with Bar(*columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=self.console) as bar:
            task_id = bar.add_task(name, total=max(total, 1e-9), rate="")
            yield Task(
                name,
                total,
                self.console,
                line_seconds=self._line_seconds,
                bar=bar,
                task_id=task_id,
                observers=self._observers,
            )
        self.tell(StageEnd())


def silent() -> Progress:
    """Make a progress that prints nothing, and tells nobody."""
    return Progress(Console(file=io.StringIO()))


def duration(seconds: float) -> str:
    """Format a duration for people: `45 s`, `12 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
