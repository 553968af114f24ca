"""The process of an inference worker: how it is started, and how it ends."""

import asyncio
import socket
import subprocess
import time
from typing import Self

from whisker.app import time_limits
from whisker.app.inference.idleness import leave_time, take_time
from whisker.app.inference.program import connected_pair, run_program

_POLL_SECONDS = 0.01
_RUN_SECONDS = 1.0  # that the start of a process may still take when nobody wants it any more


class WorkerProcess:
    """A process that runs a worker's module; `is_idle` says whether it takes only what time others leave."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, is_idle: bool) -> None:
        self._process = process
        self._is_idle = is_idle

    @classmethod
    async def start(cls, program: str, *, is_idle: bool) -> tuple[Self, socket.socket]:
        """Run a module with one end of a pair of sockets; return its process, and the other end.

        Raises `OSError` if the system lets no process start. Where this is cancelled, no process is left behind.
        """
        ours, theirs = connected_pair()
        try:
            with theirs:
                process = await _run(program, theirs)
        except BaseException:  # raised again: our end must be closed, which also ends a process that has started
            ours.close()
            raise
        return cls(process, is_idle=is_idle), ours

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Tell whether the process has been seen to end."""
        return self._process.poll() is not None

    def leave_time(self) -> None:
        """Let all other processes go first, from now on."""
        leave_time(self.pid)
        self._is_idle = True

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()

    async def end(self, seconds: float) -> int | None:
        """Wait up to `seconds` for the process to end by itself, or kill it; return its exit code.

        Returns `None` if the system does not let it end.
        """
        if self._is_idle:
            take_time(self.pid)  # the end needs some, too
        deadline = time.perf_counter() + seconds
        while (code := self._process.poll()) is None and time.perf_counter() < deadline + time_limits.KILLED_SECONDS:
            if time.perf_counter() >= deadline:
                self._process.kill()
            await asyncio.sleep(_POLL_SECONDS)
        return code


async def _run(program: str, connection: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the process, in a thread: that takes a while. Where this is cancelled, the process is ended."""
    running = asyncio.ensure_future(asyncio.to_thread(run_program, program, connection))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(_end_unwanted)  # however long that takes, and if this is cancelled once more
        await asyncio.wait([running], timeout=_RUN_SECONDS)
        raise


def _end_unwanted(running: "asyncio.Future[subprocess.Popen[bytes]]") -> None:
    """End a process that was started when nobody wanted it any more."""
    if not running.cancelled() and running.exception() is None:
        process = running.result()
        process.kill()
        process.wait()
