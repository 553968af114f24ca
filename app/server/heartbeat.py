"""A worker's heartbeat: it tells the supervisor and the other workers that this one's event loop runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event, Thread

from whisker.app.server.balance import ConnectionBalance

_BEAT_SECONDS = 0.1


@contextmanager
def beating_without_loop(balance: ConnectionBalance) -> Iterator[None]:
    """Beat within the context from a thread: there is no event loop yet, and importing may take long."""
    is_over = Event()

    def beat() -> None:
        while not is_over.wait(_BEAT_SECONDS):
            balance.beat()

    thread = Thread(target=beat, name="heartbeat", daemon=True)
    balance.beat()
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@asynccontextmanager
async def beating(balance: ConnectionBalance | None) -> AsyncIterator[None]:
    """Beat within the context, which is to last as long as the event loop; without others, for nobody."""
    if balance is None:
        yield
        return
    task = asyncio.create_task(_beat(balance))
    try:
        yield
    finally:
        task.cancel()
        balance.rest()


async def _beat(balance: ConnectionBalance) -> None:
    while True:
        balance.beat()
        await asyncio.sleep(_BEAT_SECONDS)
