"""One lane's process, and the connection to it."""

import asyncio
import logging
import os
import pickle
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from whisker.app.errors import WorkerError
from whisker.app.inference.batch_handler import NO_RENDERING
from whisker.app.inference.requests import Job
from whisker.app.inference.worker import LENGTH, PICTURE, Order
from whisker.model import errors
from whisker.model.errors import WhiskerError

_SOCKET_BYTES = 2_000_000  # a batch of photos goes through at once
_MAX_ANSWER_BYTES = 10_000_000  # a thousand classes for 32 pictures are a quarter of it
_MAX_RENDERING_BYTES = 3_500_000  # that each rendering adds: 800 x 800 pixels of noise as PNG, in Base64
_POLL_SECONDS = 0.01
_PROGRAM = "whisker.app.inference.worker"
# What a large picture took goes back to the system at once, instead of staying in every lane (glibc, mallopt(3)).
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000", "MALLOC_TRIM_THRESHOLD_": "8000000", "MALLOC_ARENA_MAX": "2"}

E = TypeVar("E", bound=WhiskerError)

logger = logging.getLogger(__name__)


class LaneProcess(asyncio.Protocol):
    """Talk to one `whisker.app.inference.worker`; `on_answer` is given the answer to its oldest batch, `on_end` is told of its end."""

    _transport: asyncio.Transport
    _process: "subprocess.Popen[bytes]"

    def __init__(
        self, on_answer: Callable[["LaneProcess", bytes], None], on_end: Callable[["LaneProcess"], None]
    ) -> None:
        self._on_answer, self._on_end = on_answer, on_end
        self.batches: deque[list[Job]] = deque()
        self.bytes = 0  # of the pictures in the batches
        self.was_stalled = False
        self._busy_since = 0.0
        self._received = bytearray()
        self._ready: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._documents: list[dict[str, Any]] = []

    async def open(self, order: Order) -> tuple[dict[str, Any], bytes]:
        """Start the process; return what it says once it can answer, and what another needs to be like it, if it can.

        Raises the `WhiskerError` that it fails with.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            self._process = await asyncio.to_thread(_start, theirs)
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
            packed = pickle.dumps(order)
            self._transport.write(LENGTH.pack(len(packed)) + packed)
            return await self._ready
        except BaseException:  # raised again: also when this is cancelled, no process may be left behind
            await self.end(0)
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_stalled(self, seconds: float) -> bool:
        """Tell whether one batch has taken more than `seconds`."""
        return bool(self.batches) and time.perf_counter() - self._busy_since > seconds

    def send(self, jobs: list[Job]) -> None:
        """Let the process answer for a batch, after those it has."""
        heads = [PICTURE.pack(len(job.data), job.is_heavy, *astuple(job.ask)) for job in jobs]
        message = b"".join([LENGTH.pack(len(jobs)), *heads, *(job.data for job in jobs)])
        if not self.batches:
            self._busy_since = time.perf_counter()
        self.batches.append(jobs)
        self.bytes += sum(len(job.data) for job in jobs)
        self._transport.write(message)

    def finish(self) -> list[Job]:
        """Take away the oldest batch: it has been answered."""
        jobs = self.batches.popleft()
        self.bytes -= sum(len(job.data) for job in jobs)
        self._busy_since = time.perf_counter()
        return jobs

    @property
    def has_heavy(self) -> bool:
        """Tell whether it decodes, or will next, a picture that is alone for its size."""
        return any(jobs[0].is_heavy for jobs in self.batches)

    def kill(self) -> None:
        """End the process, whatever it is doing, and listen to it no more."""
        self._process.kill()
        self._transport.abort()

    async def end(self, seconds: float) -> int:
        """Hang up, see to it that the process ends, within `seconds` by itself, and return its exit code."""
        self._transport.close()
        deadline = time.perf_counter() + seconds
        while (code := self._process.poll()) is None:
            if time.perf_counter() >= deadline:
                self._process.kill()
            await asyncio.sleep(_POLL_SECONDS)
        return code

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream

    def data_received(self, data: bytes) -> None:
        self._received += data
        for frame in self._frames():
            if self._ready.done():
                self._on_answer(self, frame)
            else:
                self._hear(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._ready.done():
            self._ready.set_exception(WorkerError("A process that computes has ended while it was starting."))
        self._on_end(self)

    def _frames(self) -> Iterator[bytes]:
        while len(self._received) >= LENGTH.size and not self._transport.is_closing():
            end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
            if self._ready.done() and end > self._max_bytes:
                logger.error("A lane announces an answer that is too long", extra={"lane": self.pid, "bytes": end})
                self.kill()
                return
            if len(self._received) < end:
                return
            frame = bytes(self._received[LENGTH.size : end])
            del self._received[:end]
            yield frame

    @property
    def _max_bytes(self) -> int:
        """Bound the answer to the oldest batch, by what was asked."""
        jobs = self.batches[0] if self.batches else []
        return _MAX_ANSWER_BYTES + _MAX_RENDERING_BYTES * sum(job.ask.render != NO_RENDERING for job in jobs)

    def _hear(self, frame: bytes) -> None:
        """Take in what the process says before it answers: first how it is, then what makes another like it."""
        if self._documents:
            self._ready.set_result((self._documents[0], frame))
            return
        said = from_json(frame)
        if "failed" in said:
            name, sentence = said["failed"]
            self._ready.set_exception(revive(name, sentence, otherwise=WhiskerError))
        else:
            self._documents.append(said["ready"])


def _start(connection: socket.socket) -> "subprocess.Popen[bytes]":
    descriptor = connection.fileno()
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", _PROGRAM, str(descriptor)],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        env={**_MEMORY, **os.environ, "PYTHONPATH": paths},
    )


def revive(name: str, sentence: str, *, otherwise: type[E]) -> E:
    """Make the error again that a lane tells of; `otherwise` is its kind where the name is not that of one of these."""
    kind = vars(errors).get(name)
    return kind(sentence) if isinstance(kind, type) and issubclass(kind, otherwise) else otherwise(sentence)
