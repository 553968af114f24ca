"""The signals that stop the service: SIGTERM, Ctrl-C, and the SIGHUP of a terminal that is closed."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


def stop_signals() -> list[signal.Signals]:
    """List them; without SIGHUP where it is ignored from the start, as `nohup` asks for."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGTERM, signal.SIGINT, *hangup]


@contextmanager
def handled(signals: Sequence[signal.Signals], handler: Handler) -> Iterator[None]:
    """Call `handler` for these signals within the context."""
    previous = {name: signal.signal(name, handler) for name in signals}
    try:
        yield
    finally:
        for name, earlier in previous.items():
            signal.signal(name, earlier)


def end_at_once(_number: int, _frame: FrameType | None) -> None:
    """End the process with exit code 0: nothing is at stake yet.

    An exception would do the same, unless it met a callback of the interpreter, which would print and forget it.
    """
    os._exit(0)
