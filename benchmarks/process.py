"""A server as a process with children: started, watched and ended."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.errors import BenchmarkError
from benchmarks.http import form_request, read_answer
from benchmarks.peers.answering import CHECKPOINT
from benchmarks.servers import ROOT, WHISKER, Server

_START_SECONDS = 120.0  # more is taken for a failure
_POLL_SECONDS = 0.02  # between two attempts while nothing listens yet
_QUIET_CORES = 0.3  # below it, a server has stopped loading
_QUIET_SECONDS = 0.5  # over which that is measured
_SETTLE_SECONDS = 20.0  # at most; some servers are never quiet
_STOP_SECONDS = 15.0  # that a server may take to end when asked
_GRACE_SECONDS = 2.0  # that its children may take when it has ended
_LOG_LINES = 3  # of a failed server's, in the error
_FIRST_PORT, _LAST_PORT = 18_000, 19_000


class RunningServer:
    """A server that has answered; it and its children count together.

    `folder` is its working directory, and the one for its temporary files; its log is there, too.
    """

    def __init__(self, process: psutil.Popen, port: int, start_up_seconds: float, folder: Path) -> None:
        self._process = process
        self.port = port
        self.start_up_seconds = start_up_seconds
        self.folder = folder

    def processes(self) -> list[psutil.Process]:
        """List the living processes, the server itself first."""
        return _tree(self._process)

    def terminate(self) -> None:
        """Send SIGTERM to the server itself, as Docker and Kubernetes do."""
        self._process.terminate()

    def wait(self, seconds: float) -> int | None:
        """Wait for the server's end; return its exit code, or `None` if it still runs."""
        try:
            code: int = self._process.wait(seconds)
        except psutil.TimeoutExpired:
            return None
        return code

    def cpu_seconds(self) -> float:
        """Give the CPU seconds, of user and system, that the living processes have taken."""
        return self._sum(lambda process: sum(process.cpu_times()[:2]))

    def rss_mb(self) -> float:
        """Give the resident memory in megabytes; what processes share counts for each of them."""
        return self._sum(lambda process: process.memory_info().rss) / 1e6

    def pss_mb(self) -> float:
        """Give the proportional memory in megabytes: what processes share is divided among them."""
        return self._sum(lambda process: process.memory_full_info().pss) / 1e6

    def settle(self) -> None:
        """Wait until it is quiet: the first answer may come from one worker while others still load."""
        deadline, cores = time.monotonic() + _SETTLE_SECONDS, float("inf")
        while cores > _QUIET_CORES and time.monotonic() < deadline:
            before, started = self.cpu_seconds(), time.monotonic()
            time.sleep(_QUIET_SECONDS)
            cores = (self.cpu_seconds() - before) / (time.monotonic() - started)

    def _sum(self, read: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                total += read(process)
        return total


@contextmanager
def running(server: Server, python: str, checkpoint: Path, photo: bytes) -> Iterator[RunningServer]:
    """Run a server for the block; it starts when its first 200, for `photo`, has come, and is quiet.

    Raises `BenchmarkError` with the end of its log if that takes longer than two minutes or the process ends.
    """
    with tempfile.TemporaryDirectory(prefix="whisker-benchmark-", ignore_cleanup_errors=True) as folder:
        log, port = Path(folder) / "log", _free_port()
        with log.open("wb") as output:
            started = time.perf_counter()
            process = psutil.Popen(
                server.arguments(python, port),
                cwd=folder,
                env=_environment(server, checkpoint, port, folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_answer(server, process, port, form_request(server.path, photo, field=server.field), log)
            answering = RunningServer(process, port, time.perf_counter() - started, Path(folder))
            answering.settle()
            yield answering
        finally:
            _stop(process)


def _environment(server: Server, checkpoint: Path, port: int, folder: str) -> dict[str, str]:
    """Give every server the same surroundings; settings of Whisker's that happen to be set count for nothing."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    added = {"PYTHONPATH": str(ROOT), CHECKPOINT: str(checkpoint.resolve()), "TMPDIR": folder}
    # They would write to the user's home, and call home.
    added |= {"BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0"}
    if server.name == WHISKER.name:
        # On the CPU like its peers, even where there is a GPU.
        added |= {
            "WHISKER_HOST": "127.0.0.1",
            "WHISKER_PORT": str(port),
            "WHISKER_CHECKPOINT": str(checkpoint.resolve()),
            "WHISKER_DEVICE": "cpu",
        }
    return inherited | added


def _await_answer(server: Server, process: psutil.Popen, port: int, request: bytes, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while (status := _ask(port, request)) != 200:
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
            state = "ended" if process.poll() is not None else f"did not answer (last status: {status})"
            raise BenchmarkError(f"{server.title} {state}. Its log ends with: {' / '.join(lines)}")
        time.sleep(_POLL_SECONDS)


def _ask(port: int, request: bytes) -> int | None:
    """Send one request; return the answer's status, or `None` where there is none."""
    received = bytearray()
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=_START_SECONDS) as connection:
        connection.sendall(request)
        while data := connection.recv(65_536):
            received += data
            if answer := read_answer(received):
                return answer.status
    return None


def _free_port() -> int:
    """Find three free ports in a row: some servers want further ones beside their own."""
    for port in range(_FIRST_PORT, _LAST_PORT, 3):
        if all(_is_free(port + offset) for offset in range(3)):
            return port
    raise BenchmarkError(f"No three ports in a row are free between {_FIRST_PORT} and {_LAST_PORT}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _stop(process: psutil.Popen) -> None:
    """Ask a server to end, then what it has left behind, then end what is left."""
    alive = _tree(process)
    for one in alive[:1]:
        one.terminate()
    psutil.wait_procs(alive[:1], timeout=_STOP_SECONDS)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        _, alive = psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
        for one in alive:
            with suppress(psutil.NoSuchProcess):
                end(one)
    psutil.wait_procs(alive, timeout=_STOP_SECONDS)
