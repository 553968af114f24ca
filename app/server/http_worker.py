"""An HTTP worker: one of several processes that answer on one socket. Importing this must stay cheap."""

import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
import time
from functools import partial
from multiprocessing.connection import Connection
from threading import Thread

from whisker.app.logs import configure_logging
from whisker.app.metrics import share_metrics
from whisker.app.server.acceptor import ConnectionBalance
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
        self._status, status = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_work, args=(settings, listener, balance, status, name), name=name, daemon=True
        )
        # A terminal's Ctrl-C reaches every process; it is for the watching one alone, from the very start.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.start()
        except OSError:
            self._status.close()
            raise
        finally:
            signal.signal(signal.SIGINT, handler)
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
        """Ask the process to finish its requests and end; kill it at once if it is not ready yet."""
        self.poll()
        if self.ready_since is None:
            self._process.kill()
        else:
            self._process.terminate()

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where that is not inherited
    watch = partial(_end_with_parent, settings.drain_seconds + KILL_SECONDS)
    Thread(target=watch, name="supervised", daemon=True).start()
    configure_logging(settings, http_worker=os.getpid())
    share_metrics(name)
    from whisker.app.server.process import serve  # noqa: PLC0415 - PyTorch and FastAPI take seconds to import

    try:
        serve(settings, listener, on_ready=lambda: status.send(None), balance=balance, signals=(signal.SIGTERM,))
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
