"""R6: malformed HTTP and malformed forms, over raw sockets."""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.photos import sample
from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, ask, get, post
from benchmarks.reliability.mutation import mutated_requests
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import process_ids

_CLIENTS = 32  # at once: fewer than the uploads that are admitted, so that none is refused for that
_PATIENCE = 0.5  # seconds for an answer; who asks for no more has to say so by closing its side
_HANG_SECONDS = 10.0  # that the server may take to close after that
_SEED = 1
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True, slots=True)
class _Outcome:
    statuses: tuple[int, ...]  # one connection can hold several requests
    is_closed: bool


def survive_malformed_requests(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send mutated requests and the corpora, while an honest client asks `/livez`."""
    trial.warm_up(server)
    expected, before = ask(server.port, trial.requests[0]).verdict(), process_ids(server)
    requests = list(mutated_requests(trial.photos[0], trial.plan.mutated_requests, _SEED))
    requests += [path.read_bytes() for path in sample(trial.corpus("httpreq"), trial.plan.max_requests)]
    requests += [as_form(path.read_bytes()) for path in sample(trial.corpus("multipart"), trial.plan.max_requests)]
    with probing(server.port, get("/livez")) as probes:
        outcomes = asyncio.run(_send_all(server.port, requests))
    answers = [status for outcome in outcomes for status in outcome.statuses]
    kinds = ", ".join(f"{answers.count(status)} x {status}" for status in sorted(set(answers)))
    same = ask(server.port, trial.requests[0]).verdict() == expected
    return [
        Finding("malformed requests", len(requests), detail=kinds),
        Finding("answers 5xx", sum(status >= 500 for status in answers), target=0),
        Finding("connections that hang", sum(not outcome.is_closed for outcome in outcomes), target=0),
        Finding("/livez meanwhile, p99", probes.p99_ms(), "ms", 50, detail=f"{len(probes.all)} requests"),
        Finding("/livez meanwhile, not 200", probes.failures(), target=0),
        Finding("processes that died", len(before - process_ids(server)), target=0),
        Finding("a photo is answered as before", same, "", 1, "same"),
    ]


def as_form(body: bytes) -> bytes:
    """Build the upload of a form's body, whose first line ought to be its boundary."""
    boundary = body.lstrip().partition(b"\n")[0].strip().removeprefix(b"--")
    readable = boundary.decode("latin-1") if re.fullmatch(rb"[\w.-]{1,70}", boundary) else "boundary"
    return post("/predict", f"Content-Type: multipart/form-data; boundary={readable}", body=body)


async def _send_all(port: int, requests: Sequence[bytes]) -> list[_Outcome]:
    clients = asyncio.Semaphore(_CLIENTS)

    async def send(request: bytes) -> _Outcome:
        async with clients:
            return await _send(port, request)

    return await asyncio.gather(*map(send, requests))


async def _send(port: int, request: bytes) -> _Outcome:
    """Send bytes, wait for an answer, close our side, and wait for the other side to do the same."""
    received, is_closed = bytearray(), False
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return _Outcome((), is_closed=False)
    with suppress(OSError):  # a reset is an end as well
        try:
            writer.write(request)
            is_closed = await _read(reader, received, _PATIENCE, until_answer=True)
            if not is_closed:
                writer.write_eof()
                is_closed = await _read(reader, received, _HANG_SECONDS, until_answer=False)
        except OSError:
            is_closed = True
        finally:
            writer.close()
    return _Outcome(tuple(int(status) for status in _STATUS.findall(received)), is_closed)


async def _read(reader: asyncio.StreamReader, received: bytearray, seconds: float, *, until_answer: bool) -> bool:
    """Read for so long, or until an answer begins, or to the end; return whether that was the end."""
    deadline = time.perf_counter() + seconds
    with suppress(TimeoutError):
        while not (until_answer and received):
            data = await asyncio.wait_for(reader.read(65_536), deadline - time.perf_counter())
            if not data:
                return True
            received += data
    return False
