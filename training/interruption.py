"""Ctrl-C and SIGTERM as a wish to stop that the training loop can honour between two steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT or SIGTERM has come; a second signal acts at once."""
    received: list[int] = []
    previous: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        restore()

    def restore() -> None:
        while previous:
            signal.signal(*previous.popitem())

    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            previous[number] = signal.signal(number, handle)
    except ValueError:
        previous.clear()  # not in the main thread: whoever runs us there has signals of its own
    try:
        yield lambda: bool(received)
    finally:
        restore()
