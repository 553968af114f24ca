"""Whose turn it is to take a connection: that of the worker with the fewest. Importing this must stay cheap."""

import multiprocessing
from collections.abc import Sequence
from ctypes import Array, c_int

_CLOSED = 2**31 - 1  # more connections than anybody has

_context = multiprocessing.get_context("spawn")


class Turn:
    """One worker's line in a table, in memory that all workers share, of how many connections each has.

    A number that is a moment old costs evenness, never a connection, so that nothing is locked.
    """

    def __init__(self, table: "Array[c_int]", place: int) -> None:
        self._table = table
        self._place = place

    def report(self, connections: int) -> None:
        """Tell the others how many connections this worker has."""
        self._table[self._place] = connections

    def close(self) -> None:
        """Tell the others that this worker takes no more."""
        self._table[self._place] = _CLOSED

    @property
    def is_mine(self) -> bool:
        """Tell whether no other worker has fewer."""
        counts: Sequence[int] = self._table[:]
        return counts[self._place] <= min(counts)


def share_turns(workers: int) -> list[Turn]:
    """Give each worker its turn; all are closed until they report."""
    table = _context.RawArray(c_int, [_CLOSED] * workers)
    return [Turn(table, place) for place in range(workers)]
