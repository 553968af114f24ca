"""Processes of the service that run a module of ours, each at one end of a pair of sockets. Imports nothing slow."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from whisker.app.inference.child_signals import LEFT, blocked
from whisker.app.settings import environment_for_children

PROGRAM = "whisker.app.inference.worker"
_SOCKET_BYTES = 2_000_000  # a batch of photos goes through at once
# The memory that a large picture took goes back to the system at once, instead of staying in every worker (glibc,
# mallopt(3)).
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000", "MALLOC_TRIM_THRESHOLD_": "8000000", "MALLOC_ARENA_MAX": "2"}


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends of a connection between the service and an inference worker."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
    return ours, theirs


def run_program(program: str, connection: socket.socket) -> "subprocess.Popen[bytes]":
    """Start a module as a process that has one end of a pair of sockets, and our environment without secrets."""
    descriptor = connection.fileno()
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    with blocked(LEFT):
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", program, str(descriptor)],
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            env={**_MEMORY, **environment_for_children(), "PYTHONPATH": paths},
        )
