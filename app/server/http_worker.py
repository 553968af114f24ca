"""An HTTP worker: one of several processes that answer on one socket. Importing this must stay cheap."""

import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from threading import Thread

from whisker.app.inference.begun import begun_workers
from whisker.app.inference.child_signals import blocked, ignore
from whisker.app.logs import configure_logging, flush_log
from whisker.app.metrics import share_metrics
from whisker.app.server.balance import ConnectionBalance
from whisker.app.server.heartbeat import beating_without_loop
from whisker.app.server.silence import Silence
from whisker.app.server.stop_signals import stop_signals
from whisker.app.settings import Settings
from whisker.app.time_limits import KILL_SECONDS
from whisker.model.cores import available_cores
from whisker.model.errors import WhiskerError

_context = multiprocessing.get_context("spawn")  # works on every system, and inherits no locks or threads

logger = logging.getLogger(__name__)


class HttpWorker:
    """An HTTP worker's process, seen from the supervisor."""

    def __init__(self, settings: Settings, listener: socket.socket, balance: ConnectionBalance, *, name: str) -> None:
        """Start the process. Its metrics are those of `name`, which no other may have while it lives.

        Raises `OSError` if no process can be started.
        """
        self.ready_since: float | None = None
        self.failure: WhiskerError | None = None  # why it could not start
        self.was_hung = self.was_killed = False
        self.told_at = math.inf  # when it was asked to stop
        self._silence = Silence(balance, start_seconds=settings.start_seconds)
        self._status, status = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_work, args=(settings, listener, balance, status, name), name=name, daemon=True
        )
        try:
            resource_tracker.ensure_running()  # which would unblock signals
            with blocked([signal.SIGINT]):  # reaches all processes of a terminal; see `_work`
                self._process.start()
        except OSError:
            self._status.close()
            raise
        finally:
            status.close()  # the process' own is the only one left

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, or -N if signal N ended the process; `None` while it runs."""
        return self._process.exitcode

    @property
    def handles(self) -> list[Connection | int]:
        """List the handles that `multiprocessing.connection.wait` can wait for: a message, and the end."""
        return [self._process.sentinel, *([] if self._status.closed else [self._status])]

    def poll(self) -> None:
        """Read the messages of the process, if any: that it is ready, or why it cannot start."""
        try:
            while not self._status.closed and self._status.poll():
                self.failure = self._status.recv()
                if self.failure is None:
                    self.ready_since = time.monotonic()
        except (EOFError, OSError):  # the process has ended, perhaps in the middle of a message
            self._status.close()

    def stop(self) -> None:
        """Ask the process to finish its requests and end."""
        self.poll()
        self.told_at = time.monotonic()
        self._process.terminate()

    def kill(self) -> None:
        """End the process, whatever it is doing; it may take a moment."""
        self.was_killed = True
        self._process.kill()

    def check_for_life(self, patience: float) -> None:
        """Kill the process if its event loop has not run for so many seconds; to be called often."""
        self._silence.check()
        if not self.was_killed and self._silence.is_longer_than(patience):
            self.was_hung = True
            logger.error("An HTTP worker does not answer, and is killed", extra={"worker": self.pid})
            self.kill()


def share_of(settings: Settings, workers: int) -> Settings:
    """Divide cores and upload slots among HTTP workers; a number of inference workers that was set stays."""
    return settings.model_copy(
        update={
            "inference_workers": settings.inference_workers or max(1, available_cores() // workers),
            "threads": settings.threads or 1,
            "max_in_flight": math.ceil(settings.max_in_flight / workers),
        }
    )


def _work(
    settings: Settings, listener: socket.socket, balance: ConnectionBalance, status: Connection, name: str
) -> None:
    """Run in the worker's process: serve, and report through `status` that it is ready, or why it cannot start."""
    ignore([signal.SIGINT])  # a terminal's is for the supervisor
    watch = partial(_end_with_parent, settings.drain_seconds + KILL_SECONDS)
    Thread(target=watch, name="supervised", daemon=True).start()
    configure_logging(settings, http_worker=os.getpid())
    share_metrics(name)

    def tell_ready() -> None:
        flush_log()  # what is told of the start comes before what the supervisor says of all
        status.send(None)

    signals = [name for name in stop_signals() if name != signal.SIGINT]
    with ExitStack() as stack:
        with beating_without_loop(balance):
            begun = stack.enter_context(begun_workers(settings))
            from whisker.app.server.process import serve  # noqa: PLC0415 - FastAPI takes a second to import
        try:
            serve(settings, listener, on_ready=tell_ready, balance=balance, signals=signals, begun=begun)
        except WhiskerError as exc:
            status.send(exc)
            sys.exit(1)


def _end_with_parent(max_seconds: float) -> None:
    """Stop as on SIGTERM when the supervisor is gone, for whatever reason."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        logger.error("The supervisor is gone, so this worker stops")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(max_seconds)
        os._exit(1)
