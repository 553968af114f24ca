"""Accept connections, on a socket that several HTTP workers may share, so that each worker has about as many."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from whisker.app.server.balance import ConnectionBalance

_MAX_AT_ONCE = 16  # what all of them have sent is read in the same turn of the event loop
_PAUSE_SECONDS = 0.002  # that a waiting connection is left to workers with fewer connections
_MAX_PAUSES = 25  # then any worker takes it
_EXHAUSTED_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Acceptor:
    """Accept some connections at a time or, of several workers, one, and only if no other that is awake has fewer.

    An event loop's own server accepts all waiting connections at once, so that the worker that wakes first gets nearly
    all, or one in each of its turns, so that the last of many waits for as many turns.
    """

    def __init__(
        self,
        listener: socket.socket,
        balance: ConnectionBalance | None,
        *,
        connect: Callable[[socket.socket], Awaitable[object]],
        count: Callable[[], int],
    ) -> None:
        """Start to accept; `connect` turns an accepted socket into a connection, and `count` counts the connections.

        `balance` is for one of several workers.
        """
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
        """Publish how many connections there are, for the other workers."""
        if self._balance is not None:
            self._balance.report(self._count() + len(self._connecting))

    async def close(self) -> None:
        """Accept no more connections; return when all accepted ones are set up, so that they can be counted."""
        if self._balance is not None:
            self._balance.close()
        self._loop.remove_reader(self._listener)
        if self._resumption is not None:
            self._resumption.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept_some(self) -> None:
        self.report()
        for _ in range(_MAX_AT_ONCE if self._balance is None else 1):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accept a connection; return whether there may be another one for this worker."""
        if self._balance is not None and not self._balance.may_accept and self._pauses < _MAX_PAUSES:
            self._pauses += 1
            self._pause(_PAUSE_SECONDS)
            return False
        self._pauses = 0
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another worker has taken it, or the client has left
        except OSError as exc:  # most likely too many open files
            logger.error("No connection can be accepted for a second", extra={"reason": exc.strerror})  # noqa: TRY400 - the traceback says nothing
            self._pause(_EXHAUSTED_SECONDS)
            return False
        connecting = asyncio.ensure_future(self._connect(connection))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        self.report()
        return True

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._resumption = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept_some)
