"""Honest clients beside an attack: nobody else may pay for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.process import RunningServer
from benchmarks.reliability.client import get
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import Probes, probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import process_ids

_LIVEZ_MS = 50  # p99
_SLOWER = 2  # times the idle p99 that an honest upload may take
_UPLOAD_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Beside:
    """An idle server's honest uploads, and what the same clients saw during an attack."""

    idle: Probes
    uploads: Probes
    livez: Probes
    server: RunningServer
    processes: frozenset[int]

    def findings(self, name: str = "") -> list[Finding]:
        """Tell what the attack called `name` has cost them."""
        before, during = self.idle.p99_ms(), self.uploads.p99_ms()
        about = f"{name}: " if name else ""
        p99 = f"{during:.1f} ms against {before:.1f} ms"
        count = f"of {len(self.uploads.all)}"
        dead = len(self.processes - process_ids(self.server))
        return [
            Finding(f"{about}honest uploads not answered with 200", self.uploads.failures(), target=0, detail=count),
            Finding(f"{about}their p99, by that of an idle server", during / before, "times", _SLOWER, detail=p99),
            Finding(f"{about}/livez p99", self.livez.p99_ms(), "ms", _LIVEZ_MS, detail=f"{len(self.livez.all)} probes"),
            Finding(f"{about}processes that died", dead, target=0),
        ]


def idle_uploads(server: RunningServer, trial: Trial) -> Probes:
    """Upload photos to an idle server for a while."""
    with probing(server.port, trial.requests[0], every=_UPLOAD_EVERY) as idle:
        time.sleep(trial.plan.idle_seconds)
    return idle


@contextmanager
def honest_clients(server: RunningServer, trial: Trial, idle: Probes) -> Iterator[Beside]:
    """Upload photos and ask `/livez` for the block; what came of it can be asked afterwards."""
    processes = process_ids(server)
    with (
        probing(server.port, trial.requests[0], every=_UPLOAD_EVERY) as uploads,
        probing(server.port, get("/livez")) as livez,
    ):
        yield Beside(idle, uploads, livez, server, processes)
