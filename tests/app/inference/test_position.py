"""Positions that cannot be filled, or whose workers do not last: tried again and again, but ever more slowly."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.app.conftest import ROOT, child_processes
from tests.app.inference.test_worker_pool import until
from whisker.app import time_limits
from whisker.app.errors import WorkerError
from whisker.app.inference.position import Position, retry_delay
from whisker.app.inference.wire import Opening, WorkerConfig
from whisker.app.inference.worker_handle import WorkerHandle

pytestmark = pytest.mark.anyio

_FLEETING, _LASTING, _SILENT, _STUCK = (
    f"tests.app.inference.programs.{name}" for name in ("fleeting", "lasting", "silent", "stuck")
)
_CONFIG = WorkerConfig("cpu", 1, 1, 1_000_000, "json", "error")
_OPENING = Opening(0, Path("none"), "auto", 8)


@dataclass
class Workshop:
    """Where workers are started; `program` is what the next one runs."""

    program: str = _LASTING
    seconds: float = 30.0

    async def start(self) -> WorkerHandle:
        worker = WorkerHandle(_take, _take, program=self.program)
        await worker.open(_CONFIG, [_OPENING], seconds=self.seconds)
        return worker


@asynccontextmanager
async def kept_filled(holder: WorkerHandle, start: Callable[[], Awaitable[WorkerHandle]]) -> AsyncIterator[Position]:
    """Keep a position filled, and end whoever holds it at last."""
    held = [holder]

    async def start_and_hold() -> WorkerHandle:
        held.append(await start())
        return held[-1]

    position = Position(holder, start_and_hold)
    keeping = asyncio.create_task(position.keep_filled())
    try:
        yield position
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])  # a worker that is being started has to be ended, too
        await asyncio.gather(*(worker.end(0) for worker in held))


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(time_limits, "STEADY_SECONDS", 0.3)


async def test_workers_that_do_not_last_are_replaced_more_and_more_slowly(caplog: pytest.LogCaptureFixture) -> None:
    workshop = Workshop(_FLEETING)
    async with kept_filled(await workshop.start(), workshop.start) as position:
        await until(lambda: caplog.text.count("An inference worker did not last") >= 3)
        assert position.is_vacant(0.02)
        workshop.program = _LASTING
        await until(lambda: not position.is_vacant(0))  # once the last one has proved itself
    waits = [vars(it)["retry_in_seconds"] for it in caplog.records if "did not last" in it.message]
    assert waits[:3] == [0.01, 0.02, 0.04]


async def test_worker_that_never_greets_is_given_up_and_the_next_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    others = child_processes()  # of tests before: a browser, for one
    workshop = Workshop()
    first = await workshop.start()
    workshop.program, workshop.seconds = _SILENT, 0.05
    async with kept_filled(first, workshop.start) as position:
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: "was not ready within 0.05 seconds" in caplog.text)
        assert position.is_vacant(0.04)  # counted from the loss
        workshop.program, workshop.seconds = _LASTING, 30.0
        await until(lambda: not position.is_vacant(0))
    assert child_processes() == others


async def test_dead_worker_whose_end_cannot_be_awaited_is_replaced(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop()
    first = await workshop.start()
    end = WorkerHandle.end

    async def fail(worker: WorkerHandle, seconds: float) -> int | None:
        await end(worker, seconds)
        raise OSError("no memory")

    started = asyncio.Event()

    async def start() -> WorkerHandle:
        started.set()
        return await workshop.start()

    async with kept_filled(first, start):
        with monkeypatch.context() as patch:
            patch.setattr(WorkerHandle, "end", fail)
            os.kill(first.pid, signal.SIGKILL)
            await started.wait()
    assert "An inference worker cannot be ended" in caplog.text


async def test_start_that_is_given_up_leaves_no_process() -> None:
    others = child_processes()
    for moment in (0, 0.001, 0.02, 0.1):
        starting = asyncio.create_task(Workshop(_SILENT).start())
        await asyncio.sleep(moment)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert child_processes() == others


async def test_start_that_takes_too_long_names_the_setting() -> None:
    with pytest.raises(WorkerError, match=r"within 0\.01 seconds: .* WHISKER_START_SECONDS, .* with none\."):
        await Workshop(_SILENT, seconds=0.01).start()


def test_worker_that_is_stuck_ends_with_its_service() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", _STUCK, str(theirs.fileno())]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, pass_fds=(theirs.fileno(),)) as process:  # noqa: S603 - our own
            theirs.close()
            assert process.stdout is not None
            assert process.stdout.readline() == b"stuck\n"
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                process.send_signal(number)
            ours.close()
            assert process.wait(10) == 1


def test_delays_are_doubled_up_to_a_limit() -> None:
    assert [retry_delay(failures) for failures in (1, 2, 3)] == [0.01, 0.02, 0.04]
    assert retry_delay(10_000) == time_limits.MAX_RETRY_SECONDS


def _take(*_: object) -> None:
    pass
