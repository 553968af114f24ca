"""The load generator's connections: each sends the next request that is due, and what came of it is taken down."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from benchmarks.http import read_answer

_MAX_CONNECTIONS = 512  # of an open loop; arrivals beyond wait for one, and their waiting counts
_RETRY_SECONDS = 0.05  # before a refused connection is tried again
# Between two connections of a closed loop. Where workers share a listening socket, the first to wake up would take all
# that come at once, and the others none; while it is busy, the others come to theirs.
_STAGGER_SECONDS = 0.01


# Given the index of a request and its whole answer of status 200: "200", or what is wrong with it.
Judge = Callable[[int, bytes], str]


@dataclass(frozen=True, slots=True)
class Target:
    """A port of this machine, whole requests to send there in turn, and who looks at what is answered."""

    port: int
    requests: Sequence[bytes]
    judge: Judge | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request was due at `since`, and at `until` it was known what came of it: a status, or a kind of failure."""

    since: float
    until: float
    status: str

    def counts_before(self, end: float) -> bool:
        return self.until < end or self.status == "unanswered"


class Pool:
    """Connections that each send the next request that is due.

    `due` gives the moment since which the next request waits, or `None`. Those in `backlog` wait for a connection.
    """

    def __init__(self, target: Target, due: Callable[[], float | None], backlog: Sequence[float] = ()) -> None:
        self._target, self._due, self._backlog = target, due, backlog
        self._requests = cycle(enumerate(target.requests))
        self._connections: set[_Connection] = set()
        self._idle: list[_Connection] = []  # the last used works first: those that are not needed close by themselves
        self._opening: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._closed = False

    def open(self, connections: int) -> None:
        """Open so many more connections, shortly one after the other; each goes to work as soon as it is there."""
        for index in range(connections):
            task = asyncio.get_running_loop().create_task(self._connect(index * _STAGGER_SECONDS))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def serve(self) -> None:
        """Let an idle connection, or a new one, send what is due."""
        if self._idle:
            self.release(self._idle.pop())
        elif len(self._connections) + len(self._opening) < _MAX_CONNECTIONS:
            self.open(1)

    def join(self, connection: "_Connection") -> None:
        """Take in a connection that is there now."""
        self._connections.add(connection)
        self.release(connection)

    def release(self, connection: "_Connection") -> None:
        """Let a connection that is free send what is due next, or rest."""
        since = self._due()
        if since is None:
            self._idle.append(connection)
        else:
            connection.send(*next(self._requests), since)

    def record(self, since: float, status: str) -> None:
        """Take down what came of a request."""
        self._outcomes.append(Outcome(since, time.perf_counter(), status))

    def leave(self, connection: "_Connection") -> None:
        """Forget a connection that is closed; put another in its place unless it was idle."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        elif not self._closed:
            self.open(1)

    async def finish(self, seconds: float) -> list[Outcome]:
        """Wait so long for requests under way, then close all connections; return every request's outcome."""
        deadline = time.perf_counter() + seconds
        # An event would have to be kept right in every method above; this looks only when the window is over.
        while self._is_busy() and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._closed = True
        for task in tuple(self._opening):
            task.cancel()
        for connection in tuple(self._connections):
            connection.close()
        for since in self._backlog:
            self.record(since, "unanswered")
        return self._outcomes

    def _is_busy(self) -> bool:
        return len(self._idle) < len(self._connections) or bool(self._backlog and self._opening)

    def judge(self, index: int, status: int, answer: bytearray) -> str:
        """Name what came of a request."""
        if status != 200 or self._target.judge is None:
            return str(status)
        return self._target.judge(index, bytes(answer))

    async def _connect(self, delay: float) -> None:
        await asyncio.sleep(delay)
        while True:
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self), "127.0.0.1", self._target.port
                )
            except OSError:
                self.record(time.perf_counter(), "connection")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return


class _Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request under way."""

    _transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._since: float | None = None
        self._index = 0
        self._received = bytearray()

    def send(self, index: int, request: bytes, since: float) -> None:
        self._index, self._since = index, since
        self._transport.write(request)

    def close(self) -> None:
        self._settle("unanswered")
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a TCP connection
        self._pool.join(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = read_answer(self._received)
        if answer is None:
            return
        self._settle(self._pool.judge(self._index, answer.status, self._received))
        self._received.clear()
        if answer.keep_alive:
            self._pool.release(self)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._settle("connection")
        self._pool.leave(self)

    def _settle(self, status: str) -> None:
        if self._since is not None:
            self._pool.record(self._since, status)
            self._since = None
