"""A reading worker, seen from the service: its process, and one body after the other through it."""

import asyncio
import logging
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic_core import from_json, to_json

from whisker.app import time_limits
from whisker.app.errors import DeadlineExceededError, NotReadyError, OverloadedError, WorkerError
from whisker.app.inference.program import run_program
from whisker.app.inference.wire import LENGTH
from whisker.app.protocols.reading import Order, Reading
from whisker.app.protocols.reading_worker import FAILURES

PROGRAM = "whisker.app.protocols.reading_worker"
_SOCKET_BYTES = 1_000_000
_ATTEMPTS = 2  # a worker that has ended while nothing was read is not the body's fault

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, and the connection to it."""

    process: "subprocess.Popen[bytes]"
    answers: asyncio.StreamReader
    bodies: asyncio.StreamWriter

    async def read(self, order: Order, pieces: Sequence[bytes]) -> Reading:
        """Send a body, in its pieces, and take what is read from it; raise what `read` raises."""
        head = to_json(asdict(order))
        self.bodies.write(LENGTH.pack(len(head)) + head + LENGTH.pack(sum(map(len, pieces))))
        for piece in pieces:
            self.bodies.write(piece)
            await self.bodies.drain()
        reply = from_json(await self._frame())
        if "failed" in reply:
            name, sentence = reply["failed"]
            raise FAILURES[name](sentence)
        return Reading([await self._frame() for _ in range(reply["pictures"])], reply["rest"])

    async def end(self) -> None:
        """End the process, whatever it is doing."""
        self.bodies.transport.abort()
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def _frame(self) -> bytes:
        (length,) = LENGTH.unpack(await self.answers.readexactly(LENGTH.size))
        return await self.answers.readexactly(length)


class ReadingProcess:
    """Read bodies in a process of its own, which is started for the first of them, and replaced when it fails."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Give the process' id, if there is one."""
        return None if self._worker is None else self._worker.process.pid

    async def read(self, order: Order, pieces: Sequence[bytes]) -> Reading:
        """Read a body when it is its turn; one whose reading has begun is read to its end even if this is cancelled.

        Raises what `read` raises, `DeadlineExceededError`, `NotReadyError` when this is closed, `OverloadedError` if no
        process can be started, and `WorkerError` if one cannot bear the body.
        """
        await self._turn.acquire()
        reading = asyncio.create_task(self._read(order, pieces))
        reading.add_done_callback(self._finish)
        return await asyncio.shield(reading)

    async def close(self) -> None:
        """End the process, if there is one, and start no other."""
        self._is_closed = True
        await self._end()

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.end()

    def _finish(self, reading: "asyncio.Task[Reading]") -> None:
        self._turn.release()
        if not reading.cancelled():
            reading.exception()  # looked at, whether anybody still waits for it or not

    async def _read(self, order: Order, pieces: Sequence[bytes]) -> Reading:
        for _ in range(_ATTEMPTS):
            if self._is_closed:
                raise NotReadyError("The service is stopping.")
            worker = self._worker = self._worker or await _start()
            try:
                async with asyncio.timeout(time_limits.READING_SECONDS):
                    return await worker.read(order, pieces)
            except TimeoutError as exc:
                logger.error("A body takes too long to read: its process is ended")  # noqa: TRY400 - the traceback says nothing
                await self._end()
                raise DeadlineExceededError("The body takes too long to read.") from exc
            except (OSError, EOFError) as exc:
                logger.error("A reading worker has ended", extra={"reason": type(exc).__name__})  # noqa: TRY400 - the traceback says nothing
                await self._end()
        raise WorkerError("The process that reads a body has ended twice.")


async def _start() -> _Worker:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            process = await asyncio.to_thread(run_program, PROGRAM, theirs)
        answers, bodies = await asyncio.open_connection(sock=ours)
    except (OSError, RuntimeError) as exc:  # no memory, descriptors, processes or, the latter, threads are left
        ours.close()
        logger.error("A reading worker cannot be started", extra={"reason": str(exc)})  # noqa: TRY400 - the traceback says nothing
        raise OverloadedError("The service cannot read a body of this size at the moment; try again soon.") from exc
    return _Worker(process, answers, bodies)
