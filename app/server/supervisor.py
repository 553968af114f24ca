"""The process that watches several HTTP workers, and holds their socket. Importing this must stay cheap."""

import logging
import math
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import FrameType

from whisker.app.errors import WorkerError
from whisker.app.metrics import count_restarts, forget_gauges, shared_metrics
from whisker.app.server.balance import ConnectionBalance, shared_balances
from whisker.app.server.http_worker import HttpWorker, share_of
from whisker.app.server.silence import CHECK_SECONDS
from whisker.app.server.stop_signals import handled, stop_signals
from whisker.app.settings import Settings
from whisker.app.time_limits import HUNG_SECONDS, HUNG_STOPPING_SECONDS, KILL_SECONDS, UNREADY_SECONDS
from whisker.model.cores import available_cores

_CORES_A_WORKER = 4
_STEADY_SECONDS = 60.0  # after which a worker that dies is replaced at once
_MAX_DELAY_SECONDS = 30.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Position:
    """A position for an HTTP worker; its name, and with it the counters, survive a replacement."""

    name: str
    balance: ConnectionBalance
    worker: HttpWorker | None = None
    starts: int = 0
    deaths: int = 0  # in a row, each soon after the start
    start_at: float = 0.0


class Supervisor:
    """Start workers on one socket, replace those that die or hang, and stop them all in the end."""

    def __init__(self, settings: Settings, listener: socket.socket, workers: int) -> None:
        self._settings = share_of(settings, workers)
        self._listener = listener
        self._positions = [
            _Position(f"worker{number}", balance) for number, balance in enumerate(shared_balances(workers))
        ]
        self._wake, self._waker = multiprocessing.Pipe(duplex=False)
        self._stopping = False
        self._impatient = False

    def run(self, *, on_ready: Callable[[], None]) -> None:
        """Serve until SIGTERM, SIGHUP or Ctrl-C; `on_ready` is called once all workers answer.

        Raises what keeps a worker from starting, and `WorkerError` if one ends badly, starting or stopping.
        """
        with handled(stop_signals(), self._handle), shared_metrics():
            try:
                self._watch(on_ready)
            finally:
                lost = self._drain()
        if lost:
            raise WorkerError(f"{lost} of {len(self._positions)} workers did not stop as told: answers may be lost.")

    def _watch(self, on_ready: Callable[[], None]) -> None:
        restarts = count_restarts()
        announced = False
        while not self._stopping:
            for position in self._positions:
                if position.worker is not None:
                    has_ended = not position.worker.is_running
                    position.worker.poll()  # after the check, so that no last message is missed
                    if has_ended:
                        self._free(position, position.worker)
                    else:
                        position.worker.check_for_life(HUNG_SECONDS)
                if position.worker is None and position.start_at <= time.monotonic():
                    restarts.inc(1 if position.starts else 0)
                    self._start(position)
            if not announced and all(self._is_ready(position) for position in self._positions):
                announced = True
                on_ready()
            workers = [position.worker for position in self._positions if position.worker is not None]
            self._wait(workers, [position.start_at for position in self._positions if position.worker is None])

    def _start(self, position: _Position) -> None:
        """Start a worker, or plan another attempt if the system has no memory, process or descriptor for it.

        Raises `WorkerError` if it would be the first in its position.
        """
        position.starts += 1
        try:
            position.worker = HttpWorker(self._settings, self._listener, position.balance, name=position.name)
        except OSError as exc:
            if position.starts == 1:
                raise WorkerError(f"An HTTP worker cannot be started: {exc}.") from exc
            delay = self._postpone(position)
            logger.error(  # noqa: TRY400 - the traceback says nothing
                "Worker could not be started", extra={"reason": str(exc), "restart_in_seconds": delay}
            )

    @staticmethod
    def _postpone(position: _Position) -> float:
        """Plan the next start after one more failure in a row; return the seconds until then."""
        position.deaths += 1
        delay = restart_delay(position.deaths)
        position.start_at = time.monotonic() + delay
        return delay

    def _free(self, position: _Position, worker: HttpWorker) -> None:
        """Plan another process in place of a dead one.

        Raises why it died if it was the first and never answered, or if nobody else answers either, unless it hung.
        """
        position.worker = None
        position.balance.forget()
        forget_gauges(position.name)
        could_not_start = worker.ready_since is None and not worker.was_hung
        if could_not_start and (position.starts == 1 or not any(map(self._is_ready, self._positions))):
            raise worker.failure or WorkerError(f"A worker ended with exit code {worker.exit_code} while starting.")
        steady = worker.ready_since is not None and time.monotonic() - worker.ready_since > _STEADY_SECONDS
        position.deaths = 0 if steady else position.deaths
        delay = self._postpone(position)
        logger.error(
            f"Worker could not start: {worker.failure}" if worker.failure else "Worker died",
            extra={"worker": worker.pid, "exit_code": worker.exit_code, "restart_in_seconds": delay},
        )

    def _drain(self) -> int:
        """Stop all workers; return how many did not end by themselves with exit code 0."""
        self._listener.close()  # so that clients are refused when no worker takes them any more
        running = [position.worker for position in self._positions if position.worker is not None]
        for worker in running:
            worker.stop()
        deadline = time.monotonic() + self._settings.drain_seconds + KILL_SECONDS
        lost = 0
        while running:
            self._wait(running, [])
            for worker in running:
                self._hasten(worker, deadline)
            ended = [worker for worker in running if not worker.is_running]
            running = [worker for worker in running if worker not in ended]
            for worker in ended:
                if worker.ready_since is not None:  # others have answered nothing
                    logger.info("Worker stopped", extra={"worker": worker.pid, "exit_code": worker.exit_code})
                    lost += worker.exit_code != 0
        return lost

    def _hasten(self, worker: HttpWorker, deadline: float) -> None:
        """Kill a worker that does not stop: at once if it hangs, or has answered nothing and so loses nothing."""
        worker.poll()
        worker.check_for_life(HUNG_STOPPING_SECONDS)
        deadline = worker.told_at + UNREADY_SECONDS if worker.ready_since is None else deadline
        if not worker.was_killed and (self._impatient or time.monotonic() > deadline):
            logger.error("Worker killed, since it did not stop", extra={"worker": worker.pid})
            worker.kill()

    def _wait(self, workers: Sequence[HttpWorker], moments: Sequence[float]) -> None:
        """Sleep until a worker sends a message or ends, a signal comes, one of the moments, or the next check."""
        handles = [handle for worker in workers for handle in worker.handles]
        until_first = min(moments, default=math.inf) - time.monotonic()
        wait([self._wake, *handles], max(0.0, min(CHECK_SECONDS, until_first)))
        while self._wake.poll():
            self._wake.recv_bytes()

    @staticmethod
    def _is_ready(position: _Position) -> bool:
        return position.worker is not None and position.worker.ready_since is not None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        """Stop; a second Ctrl-C no longer waits for the workers."""
        self._impatient |= self._stopping and number == signal.SIGINT
        self._stopping = True
        self._waker.send_bytes(b"!")


def count_workers(settings: Settings) -> int:
    """Return how many HTTP workers to start."""
    return math.ceil(available_cores() / _CORES_A_WORKER) if settings.workers == "auto" else settings.workers


def restart_delay(deaths: int) -> float:
    """Return the seconds to wait after this many deaths in a row: 0, 1, 2, 4 and so on, up to 30."""
    return 0.0 if deaths < 2 else min(_MAX_DELAY_SECONDS, 2.0 ** min(deaths - 2, 10))
