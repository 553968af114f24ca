"""Who asks, and for whom: API keys, names of the service, pages of other sites, and where redirects lead."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.errors import BenchmarkError
from benchmarks.process import RunningServer
from benchmarks.reliability.client import Reply, ask
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.servers import ROOT

_KEY = "correct-horse-battery-staple"
_NAME = "photos.example.org"
_HOST, _RIGHT = f"Host: {_NAME}", f"Authorization: Bearer {_KEY}"
_PHOTO = "Content-Type: image/jpeg"
_SECURED = {"WHISKER_API_KEY": _KEY, "WHISKER_ALLOWED_HOSTS": f"{_NAME},*.example.net", "WHISKER_WORKERS": "2"}
_START_SECONDS, _END_SECONDS = 120.0, 40.0
_LARGE_BYTES = 1_000_000  # of a body that another process reads
_LOCATION = re.compile(rb"\r\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)

# What is asked, with the headers beside the version's own, and the statuses that it may be answered with.
_Case = tuple[str, str, Sequence[str], Sequence[int]]
_KEYS: Mapping[str, _Case] = {
    "the key": ("GET", "/metrics", [_HOST, _RIGHT], [200]),
    "bearer": ("GET", "/metrics", [_HOST, f"authorization: bearer {_KEY}"], [200]),
    "BEARER and blanks": ("GET", "/metrics", [_HOST, f"Authorization: BEARER   {_KEY} "], [200]),
    "no key": ("GET", "/metrics", [_HOST], [401]),
    "another key": ("GET", "/metrics", [_HOST, f"{_RIGHT}x"], [401]),
    "a part of the key": ("GET", "/metrics", [_HOST, _RIGHT[:-1]], [401]),
    "another scheme": ("GET", "/metrics", [_HOST, f"Authorization: Basic {_KEY}"], [401]),
    "the key twice": ("GET", "/metrics", [_HOST, _RIGHT, _RIGHT], [400]),
    "the key and another": ("GET", "/metrics", [_HOST, _RIGHT, "Authorization: Bearer other"], [400]),
    "another key and the key": ("GET", "/metrics", [_HOST, "Authorization: Bearer other", _RIGHT], [400]),
}
_HOSTS: Mapping[str, _Case] = {
    "no host": ("GET", "/metrics", [_RIGHT], [400]),
    "two hosts": ("GET", "/metrics", [_HOST, "Host: evil.example", _RIGHT], [400]),
    "a host twice": ("GET", "/metrics", [_HOST, _HOST, _RIGHT], [400]),
    "an empty host": ("GET", "/metrics", ["Host:", _RIGHT], [400]),
    "a host with a user": ("GET", "/metrics", [f"Host: evil@{_NAME}", _RIGHT], [400]),
    "a host with a blank": ("GET", "/metrics", [f"Host: {_NAME} evil.example", _RIGHT], [400]),
    "a host with a path": ("GET", "/metrics", [f"Host: {_NAME}/evil.example", _RIGHT], [400]),
    "another name": ("GET", "/model", ["Host: evil.example", _RIGHT], [421]),
    "another name for metrics": ("GET", "/metrics", ["Host: evil.example", _RIGHT], [421]),
    "another name for health": ("GET", "/health", ["Host: evil.example"], [421]),
    "another name for the page": ("GET", "/", ["Host: evil.example"], [421]),
    "a name that ends like ours": ("GET", "/model", [f"Host: evil{_NAME}", _RIGHT], [421]),
    "a name that begins like ours": ("GET", "/model", [f"Host: {_NAME}.evil.example", _RIGHT], [421]),
    "an address": ("GET", "/model", ["Host: 127.0.0.1:8000", _RIGHT], [421]),
    "our name in capitals, with a port": ("GET", "/model", [f"Host: {_NAME.upper()}:8000", _RIGHT], [200]),
    "a subdomain": ("GET", "/model", ["Host: a.example.net", _RIGHT], [200]),
    "a probe of /livez": ("GET", "/livez", ["Host: 10.0.0.7:8000"], [200]),
    "a probe of /readyz": ("GET", "/readyz", ["Host: [fd00::7]:8000"], [200]),
    "a probe of /health": ("GET", "/health", ["Host: localhost:8000"], [200]),
}
_SITES: Mapping[str, _Case] = {
    "Origin: null": ("POST", "/predict", [_HOST, _RIGHT, _PHOTO, "Origin: null"], [403]),
    "two origins": (
        "POST",
        "/predict",
        [_HOST, _RIGHT, _PHOTO, f"Origin: http://{_NAME}", "Origin: https://evil.example"],
        [400, 403],
    ),
    "an odd Sec-Fetch-Site": ("POST", "/predict", [_HOST, _RIGHT, _PHOTO, "Sec-Fetch-Site: SAME-ORIGIN"], [403]),
    "two Sec-Fetch-Site": (
        "POST",
        "/predict",
        [_HOST, _RIGHT, _PHOTO, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
        [400, 403],
    ),
    "another method": ("DELETE", "/predict", [_HOST, _RIGHT, "Origin: https://evil.example"], [403, 405]),
    "the service's own page": ("POST", "/predict", [_HOST, _RIGHT, _PHOTO, f"Origin: http://{_NAME}"], [200]),
}
_REDIRECTED = (("POST", "/predict/"), ("GET", "/docs/"), ("GET", "/docs/assets"), ("GET", "/page"))


def check_identity(server: RunningServer, trial: Trial) -> list[Finding]:
    """Ask a server with a key and with names of its own, over raw sockets, and look at what its processes were given.

    The trial's own server has neither.
    """
    with _secured(trial, server.folder) as (process, port):
        wrong = {
            title: _wrong(port, cases, trial.photos[0])
            for title, cases in (("keys", _KEYS), ("hosts", _HOSTS), ("other sites", _SITES))
        }
        redirects = {path: _location(port, method, path) for method, path in _REDIRECTED}
        ask(port, _request("POST", "/", [_HOST, _RIGHT, "Content-Type: application/json"], b" " * _LARGE_BYTES))
        children = psutil.Process(process.pid).children(recursive=True)
        knowing = [child for child in children if _knows(child)]
    absolute = {path: to for path, to in redirects.items() if b"//" in to or to.startswith(b"/")}
    return [
        *(
            Finding(f"{title}: answered otherwise", len(it), target=0, detail="; ".join(it))
            for title, it in wrong.items()
        ),
        Finding("redirects that are not relative", len(absolute), target=0, detail=", ".join(absolute)),
        Finding("other processes", len(children)),
        Finding("other processes with the key in their environment", len(knowing), target=0),
    ]


@contextmanager
def _secured(trial: Trial, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run a server with a key, names and two HTTP workers for the block; give its process and port."""
    log = folder / "secured-log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WHISKER_")}
    command = [sys.executable, "-m", "whisker", "serve", "--host=127.0.0.1", "--port=0", "--inference-workers=1"]
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - our own
            [*command, "--device=cpu", f"--checkpoint={trial.checkpoint.resolve()}"],
            cwd=folder,
            env=inherited | _SECURED | {"PYTHONPATH": str(ROOT)},
            stderr=output,
        ) as process,
    ):
        try:
            yield process, _await_port(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            process.kill()


def _await_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            with suppress(ValueError):
                document = json.loads(line)
                if document.get("message") == "Serving":
                    return int(document["address"].rpartition(":")[2])
        time.sleep(0.1)
    raise BenchmarkError(f"The server with a key did not start: {log.read_text()[-500:]}")


def _wrong(port: int, cases: Mapping[str, _Case], photo: bytes) -> list[str]:
    """Ask everything; tell what was answered otherwise."""
    wrong = []
    for title, (method, path, headers, expected) in cases.items():
        reply = ask(port, _request(method, path, headers, photo if method == "POST" else b""))
        if reply.status not in expected:
            wrong.append(f"{title}: {_tell(reply)}")
    return wrong


def _location(port: int, method: str, path: str) -> bytes:
    """Give where a path is redirected to; empty if it is not."""
    found = _LOCATION.search(ask(port, _request(method, path, [_HOST, _RIGHT])).head)
    return found[1] if found else b""


def _request(method: str, path: str, headers: Sequence[str], body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers, *length, "", ""]).encode() + body


def _knows(process: psutil.Process) -> bool:
    try:
        return _KEY in process.environ().values()
    except psutil.NoSuchProcess:
        return False


def _tell(reply: Reply) -> str:
    return str(reply.status or reply.failure)
