"""Connections, taken in turns by acceptors on one socket."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from whisker.app.server.acceptor import Acceptor
from whisker.app.server.balance import ConnectionBalance, shared_balances

pytestmark = pytest.mark.anyio


class Taker:
    """A worker's end of the socket: it keeps what its acceptor takes."""

    def __init__(self, listener: socket.socket, balance: ConnectionBalance | None) -> None:
        self.taken: list[socket.socket] = []
        self._news: asyncio.Queue[None] = asyncio.Queue()
        self._listener = listener.dup()
        self.acceptor = Acceptor(self._listener, balance, connect=self._take, count=lambda: len(self.taken))

    async def has_taken(self, connections: int) -> None:
        while len(self.taken) < connections:
            await self._news.get()

    async def close(self) -> None:
        await self.acceptor.close()
        for connection in (*self.taken, self._listener):
            connection.close()

    async def _take(self, connection: socket.socket) -> None:
        self.taken.append(connection)
        self._news.put_nowait(None)


@asynccontextmanager
async def taking(listener: socket.socket, *balances: ConnectionBalance | None) -> AsyncIterator[list[Taker]]:
    takers = [Taker(listener, balance) for balance in balances]
    try:
        yield takers
    finally:
        for taker in takers:
            await taker.close()


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def test_connections_that_come_at_once_are_shared_evenly(listener: socket.socket) -> None:
    clients = [socket.create_connection(listener.getsockname()) for _ in range(12)]
    async with taking(listener, *shared_balances(3)) as takers:
        for taker in takers:
            await taker.has_taken(4)
    _close(listener, *clients)


async def test_connections_left_by_an_ended_worker_are_made_up_for(listener: socket.socket) -> None:
    first, second = shared_balances(2)
    async with taking(listener, first) as (taker,):
        clients = [socket.create_connection(listener.getsockname()) for _ in range(4)]
        await taker.has_taken(4)
        async with taking(listener, second) as (other,):
            clients += [socket.create_connection(listener.getsockname()) for _ in range(4)]
            await other.has_taken(4)
            assert len(taker.taken) == 4
    _close(listener, *clients)


async def test_worker_that_does_not_take_its_turn_is_not_waited_for(listener: socket.socket) -> None:
    mine, other = shared_balances(2)
    other.report(0)  # and never comes
    async with taking(listener, mine) as (taker,):
        clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]
        await taker.has_taken(2)
    _close(listener, *clients)


async def test_single_worker_takes_some_at_once_and_then_lets_the_event_loop_go_round(listener: socket.socket) -> None:
    clients = [socket.create_connection(listener.getsockname()) for _ in range(20)]
    async with taking(listener, None) as (taker,):
        counts = set()
        while len(taker.taken) < 20:
            await asyncio.sleep(0)
            counts.add(len(taker.taken))
    assert counts == {0, 16, 20}
    _close(listener, *clients)


async def test_lack_of_files_is_logged_and_not_tried_again_at_once(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refused = asyncio.Event()

    def refuse(_: socket.socket) -> None:
        refused.set()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket.socket, "accept", refuse)
    async with taking(listener, *shared_balances(1)):
        client = socket.create_connection(listener.getsockname())
        await refused.wait()
        for _ in range(10):
            await asyncio.sleep(0)
    (record,) = caplog.records
    assert vars(record)["reason"] == "Too many open files"
    _close(listener, client)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()
