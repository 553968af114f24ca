"""An honest client in a process of its own, that asks the same again and again, so that no other work delays it."""

import json
import math
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.reliability.client import ask
from benchmarks.reliability.scoreboard import percentile

_ROOT = Path(__file__).parents[2]
EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that was due, sent and answered at moments of `time.perf_counter`; status 0 is no answer."""

    due: float
    sent: float
    until: float
    status: int
    retry_after: bool

    @property
    def waited(self) -> float:
        """Give the seconds since it was due: a stall counts for all who would have come meanwhile."""
        return self.until - self.due


@dataclass(slots=True)
class Probes:
    """What a prober has seen; there when its block has ended."""

    all: list[Probe] = field(default_factory=list)

    def p99_ms(self) -> float:
        """Give the milliseconds within which 99 % of the requests were answered with 200."""
        return 1000 * percentile([probe.waited if probe.status == 200 else math.inf for probe in self.all], 99)

    def of(self, status: int) -> list[Probe]:
        """List those with a status."""
        return [probe for probe in self.all if probe.status == status]

    def failures(self, status: int = 200) -> int:
        """Count those with any other status, or none."""
        return len(self.all) - len(self.of(status))


@contextmanager
def probing(port: int, request: bytes, *, every: float = EVERY_SECONDS) -> Iterator[Probes]:
    """Send `request` every so many seconds for the block, one after the other, each on a new connection."""
    probes, (ours, theirs) = Probes(), socket.socketpair()
    command = [sys.executable, "-m", __name__, str(port), str(every), str(len(request))]
    with ours, theirs, subprocess.Popen(command, cwd=_ROOT, stdin=theirs.fileno(), stdout=theirs.fileno()):  # noqa: S603 - ourselves
        theirs.close()
        ours.sendall(request)
        with ours.makefile("rb") as output:
            output.readline()  # it is ready
            try:
                yield probes
            finally:
                ours.shutdown(socket.SHUT_WR)
                probes.all += [Probe(*values) for values in json.loads(output.read())]


def probe_until_told(port: int, request: bytes, every: float) -> Sequence[Sequence[float]]:
    """Probe until standard input ends; return what `Probe` is made of."""
    due, probes = time.perf_counter(), []
    while not select.select([sys.stdin], [], [], max(0.0, due - time.perf_counter()))[0]:
        sent = time.perf_counter()
        reply = ask(port, request)
        probes.append((due, sent, time.perf_counter(), reply.status, reply.retry_after))
        due += every
    return probes


if __name__ == "__main__":
    _port, _every, _length = sys.argv[1:]
    _request = sys.stdin.buffer.read(int(_length))
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    print(json.dumps(probe_until_told(int(_port), _request, float(_every))))  # noqa: T201
