"""One process that answers requests: uvicorn, signals, and an orderly end.

While the checkpoint is loaded, a signal ends the process at once or, while it reads or writes a file of the cache, as
soon as that is done. Later SIGTERM or SIGHUP drains: `/readyz` and `/health` fail, but all requests are still answered,
until load balancers have noticed. Then no connection is accepted, and the requests in flight are finished. Ctrl-C, or a
second SIGTERM, skips the first part.
"""

import asyncio
import gc
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
from whisker.app.inference.begun import BegunWorkers
from whisker.app.logs import take_dropped_lines
from whisker.app.main import create_app
from whisker.app.routes.state import state_of
from whisker.app.server.acceptor import Acceptor
from whisker.app.server.balance import ConnectionBalance
from whisker.app.server.connection import Connection
from whisker.app.server.connection_watch import ConnectionWatch, connection_limit
from whisker.app.server.heartbeat import beating
from whisker.app.server.reading_turns import ReadingTurns
from whisker.app.server.stop_signals import handled, stop_signals
from whisker.app.server.uvicorn_internals import Server, server_config
from whisker.app.settings import Settings
from whisker.app.time_limits import DEAD_SECONDS, GRACEFUL_SECONDS, STOPPING_TAKE_SECONDS

logger = logging.getLogger(__name__)


class _Server(Server):
    """Ends with exit code 0 when asked to stop; uvicorn would raise the signal again."""

    def __init__(self, app: FastAPI, listener: socket.socket, balance: ConnectionBalance | None) -> None:
        self._state = state_of(app)
        super().__init__(server_config(app, partial(Connection, state=self._state, turns=ReadingTurns())))
        self._drained_at: float | None = None
        self._is_terminated = False
        self._loading: asyncio.Task[None] | None = None
        self._is_loaded = False
        self._is_stopped_early = False
        self.has_failed = False
        self._watch = ConnectionWatch(lambda: self.open_connections, max_connections=connection_limit())
        self._watching: asyncio.Task[None] | None = None
        self._listener = listener
        self._balance = balance
        self._acceptor: Acceptor | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - the acceptor's
        self._watching = asyncio.create_task(self._watch.run())
        await super().startup([])
        acceptor = Acceptor(
            self._listener, self._balance, connect=self._connect, count=lambda: len(self.open_connections)
        )
        self.watch_connections(acceptor.report)
        self._acceptor = acceptor

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Give up loading, start to drain, or stop at once."""
        if not self._is_loaded:
            self._is_stopped_early = True
            if self._loading is not None:
                self._loading.get_loop().call_soon_threadsafe(self._loading.cancel)
        elif sig == signal.SIGINT or (sig == signal.SIGTERM and self._is_terminated):
            super().handle_exit(sig, frame)
        else:
            self._is_terminated |= sig == signal.SIGTERM
            if self._drained_at is None:
                self._state.draining = True
                self._drained_at = time.monotonic() + self._state.settings.drain_seconds

    async def load_and_serve(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        """Run the application's lifespan, and serve within it; return early when a signal comes while it starts.

        uvicorn would print a traceback of a checkpoint that cannot be used.
        """
        self._loading = asyncio.current_task()
        try:
            if not self._is_stopped_early:
                async with beating(self._balance), app.router.lifespan_context(app):
                    self._is_loaded = True
                    on_ready()
                    await self.serve(sockets=[self._listener])
        except asyncio.CancelledError:
            if not self._is_stopped_early:
                raise
            gc.freeze()  # as in `run`

    async def on_tick(self, counter: int) -> bool:
        """Check, ten times a second, for a reason to stop."""
        if self._watching is not None and self._watching.done():
            await self._watching  # raises its defect
        self._state.metrics.dropped_lines.inc(take_dropped_lines())
        models, settings = self._state.models, self._state.settings
        if models is not None and models.is_dead(settings.stall_seconds + DEAD_SECONDS):
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
    signals: Sequence[signal.Signals] | None = None,
    begun: BegunWorkers | None = None,
) -> None:
    """Answer requests on `listener` until one of `signals` comes, then finish the requests in flight.

    `signals` are, by default, all that stop the service. `on_ready` is called once the classifier is loaded, before
    anything is answered. `begun` are inference workers that are there already. Raises what loading the classifier
    raises, and `WorkerError` if there has been no process to compute for too long.
    """
    app = create_app(settings)
    state_of(app).begun = begun
    server = _Server(app, listener, balance)
    with (
        handled(stop_signals() if signals is None else signals, server.handle_exit),
        asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner,
    ):
        runner.run(server.load_and_serve(app, on_ready))
    if server.has_failed:
        raise WorkerError("All inference workers have ended, and none could be started again.")
