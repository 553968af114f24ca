"""R19: requests that a proxy and a server could read in different ways."""

import re
import socket
from contextlib import suppress

from benchmarks.http import raw_request
from benchmarks.process import RunningServer
from benchmarks.reliability.client import HOST, ask, post
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding

_UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
_INNER = b"GET /model HTTP/1.1\r\nHost: inner\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_SECONDS = 2.0


def ambiguous(inner: bytes = _INNER) -> dict[str, bytes]:
    """Build requests whose bodies hold another request, each with a reason to take it for one."""
    size, both = len(inner), "Transfer-Encoding: chunked"
    kind = "Content-Type: image/png"
    as_chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, inner)
    return {
        "Upgrade: h2c": post("/predict", kind, *_UPGRADE, body=inner),
        "Upgrade: websocket": post("/predict", kind, "Connection: upgrade", "Upgrade: websocket", body=inner),
        "Upgrade and chunks": _chunked(kind, *_UPGRADE) + as_chunk,
        "Upgrade twice": post("/predict", kind, *_UPGRADE, "Upgrade: tls/1.0", body=inner),
        "length and chunks": post("/predict", kind, both, body=inner),
        "two lengths": post("/predict", kind, "Content-Length: 0", body=inner),
        "a list of lengths": _with(kind, "Content-Length: 0, 38") + inner,
        "a length with a sign": _with(kind, "Content-Length: +0") + inner,
        "a length of sixteen digits and more": _with(kind, "Content-Length: 18446744073709551617") + inner,
        "a space before the colon": _with(kind, "Content-Length : 0") + inner,
        "a folded length": _with(kind, "Content-Length:\r\n 0") + inner,
        "chunked, in another case": _with(kind, "Transfer-Encoding: xchunked") + inner,
        "chunked twice": _with(kind, "Transfer-Encoding: chunked", both) + inner,
        "line breaks without CR": b"POST /predict HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + inner,
        "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + inner,
        "a trailer with a length": _chunked(kind) + b"5\r\nhello\r\n0\r\nContent-Length: 0\r\n\r\n",
    }


def read_bodies_as_bodies(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send each; the request in a body must never be answered, and a photo with an offer to upgrade must be."""
    trial.warm_up(server)
    answers = {name: exchange(server.port, request) for name, request in ambiguous().items()}
    smuggled = [name for name, received in answers.items() if b'"sha256"' in received]  # as `/model` answers
    plural = [name for name, received in answers.items() if len(_STATUS.findall(received)) != 1]
    broken = [name for name, received in answers.items() if any(it >= b"500" for it in _STATUS.findall(received))]
    offered = raw_request("/predict", trial.photos[0]).replace(
        b"\r\n", "\r\n{}\r\n".format("\r\n".join(_UPGRADE)).encode(), 1
    )
    return [
        Finding("requests in bodies that were answered", len(smuggled), target=0, detail=", ".join(smuggled)),
        Finding("not answered exactly once", len(plural), target=0, detail=", ".join(plural)),
        Finding("answers 5xx", len(broken), target=0, detail=", ".join(broken)),
        Finding("a photo with an offer to upgrade is answered with", ask(server.port, offered).status, "", 200, "same"),
    ]


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes and return everything that comes back until the server closes, or is silent for two seconds."""
    received = b""
    with socket.create_connection((HOST, port), timeout=_SECONDS) as connection, suppress(OSError):
        connection.sendall(request)
        while data := connection.recv(65_536):
            received += data
    return received


def _with(*headers: str) -> bytes:
    return "\r\n".join(["POST /predict HTTP/1.1", f"Host: {HOST}", *headers, "", ""]).encode()


def _chunked(*headers: str) -> bytes:
    return _with(*headers, "Transfer-Encoding: chunked")
