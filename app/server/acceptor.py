"""Take connections from a socket that several workers listen on, so that each has about as many."""

import asyncio
import logging
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Sequence
from ctypes import Array, c_int

_PAUSE_SECONDS = 0.002  # for a worker with fewer connections to take the one that waits
_MAX_PAUSES = 25  # then it is taken by whoever there is
_EXHAUSTED_SECONDS = 1.0

_CLOSED = 2**31 - 1  # more connections than anybody has

_context = multiprocessing.get_context("spawn")
logger = logging.getLogger(__name__)


class ConnectionBalance:
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
    def may_accept(self) -> bool:
        """Tell whether no other worker has fewer."""
        counts: Sequence[int] = self._table[:]
        return counts[self._place] <= min(counts)


def shared_balances(workers: int) -> list[ConnectionBalance]:
    """Give each worker its turn; all are closed until they report."""
    table = _context.RawArray(c_int, [_CLOSED] * workers)
    return [ConnectionBalance(table, place) for place in range(workers)]


class Acceptor:
    """Accept one connection at a time, and only when it is this worker's turn.

    An event loop's own server takes all that wait at once: whichever worker wakes first gets nearly everything.
    """

    def __init__(
        self,
        listener: socket.socket,
        balance: ConnectionBalance,
        *,
        connect: Callable[[socket.socket], Awaitable[object]],
        count: Callable[[], int],
    ) -> None:
        """Begin; `connect` makes an accepted socket a connection, and `count` says how many there are."""
        self._listener = listener
        self._balance = balance
        self._connect = connect
        self._count = count
        self._connecting: set[asyncio.Future[object]] = set()
        self._pauses = 0
        self._resumption: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.report()
        self._resume()

    def report(self) -> None:
        """Tell the other workers how many connections there are."""
        self._balance.report(self._count() + len(self._connecting))

    async def close(self) -> None:
        """Take no more connections, and return when those that were taken are there to be counted."""
        self._balance.close()
        self._loop.remove_reader(self._listener)
        if self._resumption is not None:
            self._resumption.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept(self) -> None:
        self.report()
        if not self._balance.may_accept and self._pauses < _MAX_PAUSES:
            self._pauses += 1
            self._pause(_PAUSE_SECONDS)
            return
        self._pauses = 0
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker has taken it, or the client has left
        except OSError as exc:  # most likely too many open files
            logger.error("No connection can be accepted for a second", extra={"reason": exc.strerror})  # noqa: TRY400 - the traceback says nothing
            self._pause(_EXHAUSTED_SECONDS)
            return
        connecting = asyncio.ensure_future(self._connect(connection))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        self.report()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._resumption = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept)
