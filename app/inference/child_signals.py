"""The signals that a child process leaves to the service, which hangs up when it is time."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LEFT = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)  # a terminal sends the first two to all its processes


@contextmanager
def blocked(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Keep signals waiting within the context; a child that is started in it begins with them blocked."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def ignore(signals: Sequence[signal.Signals]) -> None:
    """Ignore signals, in a child that was started with them blocked."""
    for name in signals:
        signal.signal(name, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
