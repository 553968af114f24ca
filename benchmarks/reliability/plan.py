"""How much is done in each row, and what with."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.connections import Target
from benchmarks.errors import BenchmarkError
from benchmarks.http import form_request
from benchmarks.load import run_count
from benchmarks.process import RunningServer, running
from benchmarks.servers import WHISKER, Server

_WARM_UP_REQUESTS, _WARM_UP_CONNECTIONS = 200, 16
REQUEST_CORPORA = ("multipart", "httpreq")  # folders of these names hold requests, not pictures


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers and seconds; FULL is for a claim, QUICK for a look."""

    damaged_pictures: int  # made from the photos, beside the corpora
    max_pictures: int  # of the corpora
    bomb_rounds: int
    mutated_requests: int
    max_requests: int  # of the corpora
    idle_seconds: float  # of an honest client alone, before it meets others
    slow_seconds: float  # that slow clients are watched
    load_seconds: float  # of each load
    terminations: int
    vanishing_clients: int
    soak_seconds: float
    api_examples: int  # for each operation


FULL = Plan(
    damaged_pictures=2_000,
    max_pictures=100_000,
    bomb_rounds=50,
    mutated_requests=5_000,
    max_requests=100_000,
    idle_seconds=20,
    slow_seconds=60,
    load_seconds=10,
    terminations=50,
    vanishing_clients=1_000,
    soak_seconds=1_800,
    api_examples=1_000,
)
QUICK = Plan(
    damaged_pictures=300,
    max_pictures=1_000,
    bomb_rounds=10,
    mutated_requests=600,
    max_requests=600,
    idle_seconds=5,
    slow_seconds=20,
    load_seconds=4,
    terminations=3,
    vanishing_clients=1_000,
    soak_seconds=60,
    api_examples=100,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is the same for all rows: the plan, the photos of honest clients, and folders of hostile files."""

    plan: Plan
    photos: Sequence[bytes]
    corpora: Sequence[Path]
    checkpoint: Path
    server: Server = WHISKER

    @property
    def requests(self) -> list[bytes]:
        """Build the uploads of honest clients."""
        return [form_request(self.server.path, photo) for photo in self.photos]

    def start(self) -> AbstractContextManager[RunningServer]:
        """Start a server for a block."""
        return running(self.server, sys.executable, self.checkpoint, self.photos[0])

    def warm_up(self, server: RunningServer) -> None:
        """Let a server take the memory that its ordinary work takes."""
        load = run_count(Target(server.port, self.requests), _WARM_UP_CONNECTIONS, _WARM_UP_REQUESTS)
        if load.errors:
            raise BenchmarkError(f"The server failed before anything was done to it: {load.errors}.")

    def pictures(self) -> list[Path]:
        """List the corpora's files that are sent as pictures."""
        return [path for path in self._files() if not set(REQUEST_CORPORA) & set(path.parts)]

    def corpus(self, name: str) -> list[Path]:
        """List the corpora's files in a folder of a given name."""
        return [path for path in self._files() if name in path.parts]

    def _files(self) -> list[Path]:
        return sorted({path for folder in self.corpora for path in folder.resolve().rglob("*") if path.is_file()})
