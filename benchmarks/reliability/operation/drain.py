"""R9: SIGTERM in the midst of work."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from benchmarks.http import Answer, read_answer
from benchmarks.load import arrival_times
from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, ask, get
from benchmarks.reliability.clients.overload import find_peak
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding

_LOAD_SHARE = 0.7  # of the peak
_BEFORE_SECONDS, _AFTER_SECONDS = 1.0, 10.0  # of load, around the signal
_NOTICE_SECONDS = 0.01  # between two looks of the balancer at `/readyz`
_ANSWER_SECONDS = 15.0
_END_SECONDS = 40.0
_CHILDREN_SECONDS = 2.0  # that other processes may outlive the first


@dataclass(slots=True)
class _Termination:
    """What one SIGTERM led to; `unready` is when `/readyz` said 503, infinity if it never did."""

    statuses: list[int] = field(default_factory=list)  # 0: lost
    lost_why: list[str] = field(default_factory=list)
    unready: float = float("inf")
    exit_code: int | None = None
    left: int = 0
    seconds: float = float("inf")


def lose_nothing_at_the_end(server: RunningServer, trial: Trial) -> list[Finding]:
    """Terminate servers at 70 % load; clients stay away once `/readyz` is not 200, as behind a load balancer."""
    trial.warm_up(server)
    rate = _LOAD_SHARE * find_peak(server, trial)
    terminations = [_terminate(server, trial, rate, seed=0)]
    for seed in range(1, trial.plan.terminations):
        with trial.start() as another:
            trial.warm_up(another)
            terminations.append(_terminate(another, trial, rate, seed))
    sent = sum(len(one.statuses) for one in terminations)
    lost = [why for one in terminations for why in one.lost_why]
    refused = sum(status not in (0, 200) for one in terminations for status in one.statuses)
    unready = max(one.unready for one in terminations)
    codes = [one.exit_code for one in terminations]
    why = ", ".join(f"{lost.count(kind)} x {kind}" for kind in sorted(set(lost)))
    return [
        Finding("terminations", len(terminations), detail=f"{sent} requests at {rate:.0f}/s"),
        Finding("requests lost or reset", len(lost), target=0, detail=why),
        Finding("requests answered, but not with 200", refused),
        Finding("/readyz is 503, with the listener open, after", 1000 * unready, "ms", 100),
        Finding("exit codes other than 0", sum(code != 0 for code in codes), target=0),
        Finding("processes left running", sum(one.left for one in terminations), target=0),
        Finding("the slowest end", max(one.seconds for one in terminations), "s"),
    ]


def _terminate(server: RunningServer, trial: Trial, rate: float, seed: int) -> _Termination:
    termination, away = _Termination(), threading.Event()
    clients = threading.Thread(
        target=lambda: asyncio.run(_Clients(server.port, trial.requests, termination, away).arrive(rate, seed))
    )
    clients.start()
    time.sleep(_BEFORE_SECONDS)
    signalled = time.perf_counter()
    family = server.processes()
    server.terminate()
    termination.unready = _notice(server.port, signalled)
    away.set()
    termination.exit_code = server.wait(_END_SECONDS)
    termination.seconds = time.perf_counter() - signalled
    termination.left = len(psutil.wait_procs(family, timeout=_CHILDREN_SECONDS)[1])
    clients.join()
    return termination


def _notice(port: int, signalled: float) -> float:
    """Look at `/readyz`, as a load balancer does, until it is not 200; return when it said 503, if it did."""
    while time.perf_counter() - signalled < _AFTER_SECONDS:
        reply = ask(port, get("/readyz"))
        if reply.status != 200:
            return time.perf_counter() - signalled if reply.status == 503 else float("inf")
        time.sleep(_NOTICE_SECONDS)
    return float("inf")


class _Clients:
    """Independent clients that keep connections open and use them again; they stop coming when `away` is set."""

    def __init__(self, port: int, requests: Sequence[bytes], termination: _Termination, away: threading.Event) -> None:
        self._port, self._requests, self._termination, self._away = port, requests, termination, away
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def arrive(self, rate: float, seed: int) -> None:
        """Send requests at random moments until the clients stay away, and await all answers."""
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, moment in enumerate(arrival_times(rate, _BEFORE_SECONDS + _AFTER_SECONDS, seed)):
                await asyncio.sleep(begin + moment - time.perf_counter())
                if self._away.is_set():
                    break
                group.create_task(self._request(self._requests[number % len(self._requests)]))
        for _, writer in self._idle:
            writer.close()

    async def _request(self, request: bytes) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                status, why = await self._exchange(request), ""
        except (OSError, EOFError) as exc:  # a timeout is an OSError, too
            status, why = 0, type(exc).__name__
        self._termination.statuses.append(status)
        if not status:
            self._termination.lost_why.append(why)

    async def _exchange(self, request: bytes) -> int:
        reader, writer = await self._connect()
        received = bytearray()
        answer: Answer | None = None
        try:
            writer.write(request)
            while answer is None:
                data = await reader.read(65_536)
                if not data:
                    raise EOFError
                received += data
                answer = read_answer(received)
        finally:
            if answer is None or not answer.keep_alive:
                writer.close()
        if answer.keep_alive:
            self._idle.append((reader, writer))
        return answer.status

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(HOST, self._port)
