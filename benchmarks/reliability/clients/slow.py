"""R7: clients that send a byte a second."""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, post
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import count_descriptors

_SLOW_HEADS, _SLOW_BODIES = 500, 100
_EVERY_SECONDS = 1.0  # a byte
_HONEST_EVERY = 0.05
_BODY_BYTES = 100_000


def close_slow_clients(server: RunningServer, trial: Trial) -> list[Finding]:
    """Open 500 sockets that send a head, and 100 that send a body, a byte a second; an honest client goes on."""
    trial.warm_up(server)
    photo, port = trial.requests[0], server.port
    with probing(port, photo, every=_HONEST_EVERY) as idle:
        time.sleep(trial.plan.idle_seconds)
    descriptors = count_descriptors(server)
    with probing(port, photo, every=_HONEST_EVERY) as beside:
        closed = asyncio.run(_drip_all(port, trial.plan.slow_seconds))
    heads, bodies = closed[:_SLOW_HEADS], closed[_SLOW_HEADS:]
    p99 = f"{beside.p99_ms():.1f} ms against {idle.p99_ms():.1f} ms"
    return [
        Finding("slow heads: the last is closed after", max(heads), "s", 15, detail=_open(heads)),
        Finding("slow bodies: the last is closed after", max(bodies), "s", 15, detail=_open(bodies)),
        Finding(
            "an honest client meanwhile: not answered with 200",
            beside.failures(),
            target=0,
            detail=f"of {len(beside.all)}",
        ),
        Finding("its p99, by that of an idle server", beside.p99_ms() / idle.p99_ms(), "times", 2, detail=p99),
        Finding("descriptors afterwards", count_descriptors(server) - descriptors, detail="more than before"),
    ]


async def _drip_all(port: int, seconds: float) -> list[float]:
    head = b"GET /livez HTTP/1.1\r\nHost: " + b"a" * 1_000
    body = post("/predict", "Content-Type: image/jpeg", length=_BODY_BYTES)
    heads = [_drip(port, b"", head, seconds) for _ in range(_SLOW_HEADS)]
    bodies = [_drip(port, body, bytes(_BODY_BYTES), seconds) for _ in range(_SLOW_BODIES)]
    return list(await asyncio.gather(*heads, *bodies))


async def _drip(port: int, start: bytes, rest: bytes, seconds: float) -> float:
    """Send `start` at once and `rest` a byte a second; return when the server closes, infinity if it does not."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return 0.0
    opened = time.perf_counter()
    writer.write(start)
    dripping = asyncio.create_task(_send_slowly(writer, rest))
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(65_536):
                pass
    except TimeoutError:
        return math.inf
    except OSError:  # a reset closes it as well
        pass
    finally:
        dripping.cancel()
        writer.transport.abort()
    return time.perf_counter() - opened


async def _send_slowly(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(OSError):
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await asyncio.sleep(_EVERY_SECONDS)


def _open(closed: Sequence[float]) -> str:
    return f"{sum(map(math.isinf, closed))} of {len(closed)} still open at the end"
