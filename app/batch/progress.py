"""The progress of a run over many photos, on stderr: a bar on a terminal, occasional lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_LINE_SECONDS = 20.0  # between two plain lines


class Progress:
    """A context in which `show` is called as work is done; `total` gives the number of photos once it is known."""

    def __init__(self, done: int, total: Callable[[], int | None]) -> None:
        self._before, self._total = done, total
        self._console = Console(stderr=True, soft_wrap=True)
        columns = (BarColumn(20), TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        self._bar = Bar(*columns, console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.add_task("", total=self._total(), completed=self._before, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int) -> None:
        """Show how many photos are done in total; the rate counts those of this run."""
        now = time.monotonic()
        rate = (done - self._before) / max(now - self._started, 1e-9)
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=done, total=self._total(), rate=f"{rate:,.0f} photos/s")
        elif now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self._console.print(_line(done, self._total(), rate), highlight=False)


def _line(done: int, total: int | None, rate: float) -> str:
    if total is None:
        return f"{done:,} photos, {rate:,.0f} photos/s"
    left = max(0, total - done) / max(rate, 1e-9)
    time_left = f"{left:.0f} s" if left < 90 else f"{left / 60:,.0f} min"
    return f"{done:,} of {total:,} photos, {rate:,.0f} photos/s, {time_left} left"
