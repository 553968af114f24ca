"""A `whisker serve` in surroundings of its own: other variables, another user, fewer rights."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.client import Reply, ask

ROOT = Path(__file__).parents[2]
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_NOT_STARTED = Reply(0, 0.0, failure="refused")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs from an ordinary start: `variables` are all that the process gets; `prefix` runs the command.

    `user` is a number that needs no entry in any file; `prepare` runs in the new process just before the command.
    """

    name: str
    variables: Mapping[str, str]
    prefix: Sequence[str] = ()
    options: Sequence[str] = ()
    user: int | None = None
    prepare: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a photo, the exit code and all that was logged."""

    reply: Reply
    exit_code: int
    log: str

    @property
    def has_traceback(self) -> bool:
        return "Traceback" in self.log


def serve_once(surroundings: Surroundings, checkpoint: Path, request: bytes) -> Outcome:
    """Start a server, send it one request when it serves, and end it."""
    options = ["--host=127.0.0.1", "--port=0", f"--checkpoint={checkpoint}", *surroundings.options]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*surroundings.prefix, sys.executable, "-m", "whisker", "serve", *options],
        cwd=ROOT,
        env=dict(surroundings.variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        user=surroundings.user,
        group=None if surroundings.user is None else 0,
        extra_groups=None if surroundings.user is None else [],
        preexec_fn=surroundings.prepare,  # noqa: PLW1509 - no thread of ours holds a lock that it needs
    )
    patience = threading.Timer(_START_SECONDS, process.kill)
    patience.start()
    with process:
        assert process.stderr is not None  # noqa: S101 - a pipe, as asked for
        lines, port = [], 0
        for line in process.stderr:
            lines.append(line)
            if port := _port(line):
                break
        reply = ask(port, request) if port else _NOT_STARTED
        patience.cancel()
        process.terminate()
        last = threading.Timer(_STOP_SECONDS, process.kill)
        last.start()
        lines.append(process.stderr.read())
        code = process.wait()
        last.cancel()
    return Outcome(reply, code, "".join(lines))


def plain_variables(**others: str) -> dict[str, str]:
    """Give the few variables that a program needs to be found, and others; HOME is not among them."""
    return {"PATH": os.environ.get("PATH", os.defpath), **others}


def _port(line: str) -> int:
    """Read the port in the log line of a server that serves; 0 in any other."""
    try:
        entry = json.loads(line)
    except ValueError:
        return 0
    return int(entry["address"].rpartition(":")[2]) if entry.get("message") == "Serving" else 0
