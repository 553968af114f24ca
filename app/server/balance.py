"""What HTTP workers tell each other and the supervisor, in memory that all of them share."""

import math
import multiprocessing
import time
from ctypes import Array, c_double, c_int

from whisker.app.time_limits import PASSED_OVER_SECONDS
from whisker.model.errors import ConfigError

_CLOSED = 2**31 - 1  # more connections than any worker has

_context = multiprocessing.get_context("spawn")


class ConnectionBalance:
    """One worker's row in a table: how many connections it has, and when its event loop last ran.

    A number that is a moment old costs evenness, never a connection, so that nothing is locked. Beats are those of the
    system's monotonic clock, which all processes share.
    """

    def __init__(self, connections: "Array[c_int]", beats: "Array[c_double]", place: int) -> None:
        self._connections = connections
        self._beats = beats
        self._place = place

    def report(self, connections: int) -> None:
        """Publish how many connections this worker has."""
        self._connections[self._place] = connections
        self.beat()

    def close(self) -> None:
        """Publish that this worker accepts no more."""
        self._connections[self._place] = _CLOSED

    def beat(self) -> None:
        """Publish that this worker's event loop runs."""
        self._beats[self._place] = time.monotonic()

    def rest(self) -> None:
        """Publish that this worker's event loop has ended, as it should."""
        self._beats[self._place] = math.inf

    def forget(self) -> None:
        """Make the row that of a worker that has not started."""
        self.close()
        self._beats[self._place] = 0.0

    @property
    def last_beat(self) -> float:
        """Give the moment of the latest beat: 0 before the first, infinity after the last."""
        return self._beats[self._place]

    @property
    def may_accept(self) -> bool:
        """Tell whether no other worker that is awake has fewer connections."""
        counts: list[int] = self._connections[:]
        oldest = time.monotonic() - PASSED_OVER_SECONDS
        awake = [count for count, beat in zip(counts, self._beats[:], strict=True) if beat > oldest]
        return counts[self._place] <= min(awake, default=_CLOSED)


def shared_balances(workers: int) -> list[ConnectionBalance]:
    """Make one row for each worker; all count as closed until they report.

    Raises `ConfigError` if processes cannot share memory.
    """
    try:
        connections = _context.RawArray(c_int, [_CLOSED] * workers)
        beats = _context.RawArray(c_double, workers)
    except OSError as exc:
        raise ConfigError(
            "Several HTTP workers share memory below /dev/shm or in a temporary folder, and neither can be written: "
            "provide one, or serve with one HTTP worker."
        ) from exc
    return [ConnectionBalance(connections, beats, place) for place in range(workers)]
