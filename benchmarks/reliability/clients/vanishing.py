"""R10: clients that vanish, in the midst of their upload or before the answer."""

import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, ask
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import count_descriptors, count_files, in_flight, process_ids

_AT_ONCE = 50  # fewer than the uploads that are admitted
_BACK_SECONDS = 5.0  # that is waited for everything to be as before
_LOOK_SECONDS = 0.05
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


def forget_vanished_clients(server: RunningServer, trial: Trial) -> list[Finding]:
    """Let clients vanish, half of them with a reset, and wait for what they have left behind to be gone."""
    trial.warm_up(server)
    expected, processes = ask(server.port, trial.requests[0]).verdict(), process_ids(server)
    time.sleep(_LOOK_SECONDS)
    descriptors, files = count_descriptors(server), count_files(server)
    for start in range(0, trial.plan.vanishing_clients, _AT_ONCE):
        _vanish(server.port, trial.requests, start)
    is_back: dict[str, Callable[[], bool]] = {
        "descriptors": lambda: count_descriptors(server) <= descriptors,
        "temporary files": lambda: count_files(server) <= files,
        "uploads in flight": lambda: in_flight(server) == 0,
    }
    back, started = dict.fromkeys(is_back, float("inf")), time.perf_counter()
    while is_back and time.perf_counter() - started < _BACK_SECONDS:
        for name in [name for name, look in is_back.items() if look()]:
            back[name] = time.perf_counter() - started
            del is_back[name]
        time.sleep(_LOOK_SECONDS)
    same = ask(server.port, trial.requests[0]).verdict() == expected
    return [
        Finding("clients that vanish", trial.plan.vanishing_clients),
        *(Finding(f"{name}: as before after", value, "s", 2) for name, value in back.items()),
        Finding("processes that died", len(processes - process_ids(server)), target=0),
        Finding("a photo is answered as before", same, "", 1, "same"),
    ]


def _vanish(port: int, requests: Sequence[bytes], start: int) -> None:
    """Connect at once, send a whole request or half of one, and close."""
    connections = []
    for number in range(start, start + _AT_ONCE):
        request = requests[number % len(requests)]
        connection = socket.create_connection((HOST, port))
        connections.append(connection)
        with suppress(OSError):
            connection.sendall(request if number % 2 else request[: len(request) // 2])
        if number % 4 < 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    for connection in connections:
        connection.close()
