"""The signals that a process of the service leaves to the service, which hangs up when it is time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)  # a terminal sends the first two to all its processes


@contextmanager
def blocked_for_child() -> Iterator[None]:
    """Start a child in this context: no signal reaches it before it ignores them."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def ignore_in_child() -> None:
    """Ignore the signals, in a child that was started with them blocked."""
    for name in _SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
