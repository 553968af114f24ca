"""One process that answers requests: uvicorn, signals, and an orderly end.

SIGTERM drains: `/readyz` and `/health` fail, but all requests are still answered, until load balancers have noticed.
Then no connection is accepted, and the requests in flight are finished. Ctrl-C, or a second signal, skips the first
part.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

from fastapi import FastAPI

from whisker.app.errors import WorkerError
from whisker.app.logs import take_dropped_lines
from whisker.app.main import create_app
from whisker.app.routes.state import state_of
from whisker.app.server.acceptor import Acceptor, ConnectionBalance
from whisker.app.server.connection import Connection
from whisker.app.server.connection_watch import ConnectionWatch, connection_limit
from whisker.app.server.uvicorn_internals import Server, server_config
from whisker.app.settings import Settings
from whisker.app.time_limits import DEAD_SECONDS, GRACEFUL_SECONDS, STOPPING_TAKE_SECONDS

logger = logging.getLogger(__name__)


class _Server(Server):
    """Ends with exit code 0 when asked to stop; uvicorn would raise the signal again."""

    def __init__(self, app: FastAPI, listener: socket.socket, balance: ConnectionBalance | None) -> None:
        self._state = state_of(app)
        super().__init__(server_config(app, partial(Connection, state=self._state)))
        self._drained_at: float | None = None
        self.has_failed = False
        self._watch = ConnectionWatch(lambda: self.open_connections, max_connections=connection_limit())
        self._watching: asyncio.Task[None] | None = None
        self._listener = listener
        self._balance = balance
        self._acceptor: Acceptor | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._watching = asyncio.create_task(self._watch.run())
        await super().startup(sockets if self._balance is None else [])
        if self._balance is not None:
            acceptor = Acceptor(
                self._listener, self._balance, connect=self._connect, count=lambda: len(self.open_connections)
            )
            self.watch_connections(acceptor.report)
            self._acceptor = acceptor

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain, or stop at once."""
        if sig == signal.SIGTERM and not self._state.draining:
            self._state.draining = True
            self._drained_at = time.monotonic() + self._state.settings.drain_seconds
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Check, ten times a second, for a reason to stop."""
        if self._watching is not None and self._watching.done():
            await self._watching  # raises its defect
        self._state.metrics.dropped_lines.inc(take_dropped_lines())
        service, settings = self._state.service, self._state.settings
        if service is not None and service.is_dead(settings.stall_seconds + DEAD_SECONDS):
            logger.error("No inference worker could be started for too long: the process ends")
            self.has_failed = True
        is_drained = self._drained_at is not None and time.monotonic() >= self._drained_at
        return await super().on_tick(counter) or is_drained or self.has_failed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._acceptor is not None:
            await self._acceptor.close()
        self._watch.take_seconds = STOPPING_TAKE_SECONDS
        # uvicorn would cancel what is left, with a traceback for each request.
        giving_up = asyncio.get_running_loop().call_later(GRACEFUL_SECONDS - 1, self._watch.give_up)
        try:
            await super().shutdown(sockets)
        finally:
            giving_up.cancel()
            if self._watching is not None:
                self._watching.cancel()

    async def _connect(self, connection: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(self.new_connection, connection)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # `serve` has done so already, also while the checkpoint is loaded


def serve(
    settings: Settings,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    balance: ConnectionBalance | None = None,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Answer requests on `listener` until one of `signals` comes, then finish the requests in flight.

    `on_ready` is called once the classifier is loaded, before anything is answered. Raises what loading it raises, and
    `WorkerError` if there has been no process to compute for too long.
    """
    app = create_app(settings)
    server = _Server(app, listener, balance)
    previous = {name: signal.signal(name, server.handle_exit) for name in signals}
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(app, server, listener, on_ready))
        if server.has_failed:
            raise WorkerError("All inference workers have ended, and none could be started again.")
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)


async def _serve(app: FastAPI, server: Server, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    # The lifespan runs here and not in uvicorn, which would print a traceback of a checkpoint that cannot be used.
    async with app.router.lifespan_context(app):
        on_ready()
        await server.serve(sockets=[listener])
