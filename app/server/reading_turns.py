"""An event loop's turns, shared among the connections that send much at once."""

import asyncio
from collections import OrderedDict
from typing import Protocol

_TURN_BYTES = 1_000_000  # received in a turn; who sends more has to wait, and what is too much counts for the next ones
_TURN_CONNECTIONS = 8  # of those that wait, that go on in one turn
_SMALL_BYTES = 32_768  # at most, of what is not counted: counting costs more


class Reader(Protocol):
    """A connection that can be told to wait."""

    def hold_reading(self) -> None:
        """Read nothing more for now."""

    def go_on(self) -> None:
        """Read again."""


class ReadingTurns:
    """Let an event loop do little in each of its turns, so that others wait for milliseconds.

    The loop reads from every connection that has sent something before it asks again who else has: hundreds of large
    uploads at once would have a new client wait until most of them have been read.
    """

    def __init__(self) -> None:
        self._left = _TURN_BYTES
        self._waiting: OrderedDict[Reader, None] = OrderedDict()  # thousands may wait: none is looked for one by one
        self._is_ending = False  # the turn: what waits goes on in the next one

    def count(self, reader: Reader, size: int) -> None:
        """Count bytes that `reader` has received in this turn; let it wait if they are too many."""
        if size <= _SMALL_BYTES:
            return
        self._left -= size
        if self._left < 0:
            self.wait(reader)
        else:
            self._end()

    def wait(self, reader: Reader) -> None:
        """Let `reader` receive nothing until it is its turn."""
        if reader not in self._waiting:
            reader.hold_reading()
            self._waiting[reader] = None
        self._end()

    def _end(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._is_ending = False
        self._left = min(_TURN_BYTES, self._left + _TURN_BYTES)
        if self._left > 0:
            for _ in range(min(_TURN_CONNECTIONS, len(self._waiting))):
                self._waiting.popitem(last=False)[0].go_on()
        if self._waiting:
            self._end()
