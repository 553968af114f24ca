"""All connections, looked at several times a second: slow clients are closed, and all together stay within bounds."""

import asyncio
import logging
import resource
import time
from collections.abc import Callable, Iterable

from whisker.app.server.connection import Connection
from whisker.app.time_limits import TAKE_SECONDS

_EVERY_SECONDS = 0.1
_MAX_UNSENT_BYTES = 64_000_000  # of answers that clients have not taken, on all connections
_MAX_DESCRIPTORS = 65_536
_SPARE_DESCRIPTORS = 128  # for files, processes and the connections to them
_LEAST_CONNECTIONS = 16
_FULL, _ROOMY = 0.9, 0.8  # of the connections that there may be: idle ones are closed from the first to the second

logger = logging.getLogger(__name__)


class ConnectionWatch:
    """Close the connections of clients that are too slow, and some if there are too many or too much is unsent."""

    def __init__(self, connections: Callable[[], Iterable[object]], *, max_connections: int) -> None:
        self.take_seconds = TAKE_SECONDS  # that a client may take nothing of its answer
        self._connections = connections
        self._max_connections = max_connections

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look(time.monotonic())
            await asyncio.sleep(_EVERY_SECONDS)

    def look(self, now: float) -> None:
        """Look once, at the moment `now` of the monotonic clock."""
        connections = self._all()
        for connection in connections:
            connection.look(now, self.take_seconds)
        _bound_unsent(connections)
        if len(connections) > _FULL * self._max_connections:
            _close_idle(connections, len(connections) - int(_ROOMY * self._max_connections))

    def give_up(self) -> None:
        """Close all connections at once."""
        for connection in self._all():
            connection.abort("The service stops before a request was complete, or its answer was taken")

    def _all(self) -> list[Connection]:
        return [it for it in self._connections() if isinstance(it, Connection)]


def connection_limit() -> int:
    """Raise the limit of open files as far as the system lets us; return how many connections fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    limit = _MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return max(_LEAST_CONNECTIONS, limit - _SPARE_DESCRIPTORS)


def _bound_unsent(connections: list[Connection]) -> None:
    unsent = {it: it.unsent_bytes for it in connections}
    excess = sum(unsent.values()) - _MAX_UNSENT_BYTES
    for connection in sorted(connections, key=lambda it: unsent[it], reverse=True) if excess > 0 else ():
        connection.abort("Clients leave too much of their answers unread")
        excess -= unsent[connection]
        if excess <= 0:
            return


def _close_idle(connections: list[Connection], count: int) -> None:
    """Close so many connections on which nothing is being answered, the longest idle first."""
    idle = [(it.idle_since, it) for it in connections if it.idle_since is not None]
    closed = [it for _, it in sorted(idle, key=lambda pair: pair[0])[:count]]
    for connection in closed:
        connection.transport.close()
    logger.warning("Idle connections are closed, since there are many", extra={"connections": len(closed)})
