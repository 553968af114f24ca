"""A server's processes, watched while something is done to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

import psutil

from benchmarks.process import RunningServer
from benchmarks.reliability.client import ask, get

_EVERY_SECONDS = 0.02  # between two looks at the memory


@dataclass(slots=True)
class Memory:
    """Resident megabytes of all processes: before, and the most since."""

    before: float
    most: float

    @property
    def growth(self) -> float:
        """Give the megabytes that were added at the worst."""
        return self.most - self.before


@contextmanager
def watching_memory(server: RunningServer) -> Iterator[Memory]:
    """Watch the memory for the block; pages that processes share count for each of them."""
    before = server.rss_mb()
    memory, done = Memory(before, before), Event()

    def watch() -> None:
        while not done.wait(_EVERY_SECONDS):
            memory.most = max(memory.most, server.rss_mb())

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()
        memory.most = max(memory.most, server.rss_mb())


def process_ids(server: RunningServer) -> frozenset[int]:
    """Give the ids of the living processes; one that is missing later has died."""
    return frozenset(process.pid for process in server.processes())


def count_descriptors(server: RunningServer) -> int:
    """Count the open files and sockets of all processes."""
    return _sum(server, lambda process: process.num_fds())


def count_threads(server: RunningServer) -> int:
    """Count the threads of all processes."""
    return _sum(server, lambda process: process.num_threads())


def count_files(server: RunningServer) -> int:
    """Count the temporary files, by their names, beside the log."""
    return sum(path.is_file() for path in server.folder.rglob("*")) - 1


def written_bytes(server: RunningServer) -> int:
    """Give the bytes written to disk by all processes, those of unnamed files included, without the log's."""
    return _sum(server, lambda process: process.io_counters().write_bytes) - (server.folder / "log").stat().st_size


def in_flight(server: RunningServer) -> float:
    """Read the gauge of uploads being answered; NaN if `/metrics` does not tell."""
    for line in ask(server.port, get("/metrics")).received.splitlines():
        if line.startswith(b"whisker_in_flight "):
            return float(line.split()[-1])
    return float("nan")


def _sum(server: RunningServer, read: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            total += read(process)
    return total
