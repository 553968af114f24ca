"""R17: heads, trailers and extensions of chunks without an end."""

import time

from benchmarks.process import RunningServer
from benchmarks.reliability.beside import honest_clients, idle_uploads
from benchmarks.reliability.client import ask, chunked, get
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import watching_memory

_MUCH = 30_000_000  # bytes
_HEAD = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
_BODY = chunked("/predict", "image/jpeg") + b"5\r\nhello\r\n"
_REFUSED = {431, 414}
_SECONDS = 10.0


def too_large() -> dict[str, bytes]:
    """Build requests that are too large in every way but that of a body."""
    return {
        "30 MB of header lines": _HEAD + b"X: y\r\n" * (_MUCH // 6),
        "a header of 30 MB": _HEAD + b"X: " + b"y" * _MUCH,
        "a header name of 30 MB": _HEAD + b"x" * _MUCH,
        "a path of 30 MB": b"GET /" + b"a" * _MUCH,
        "30 MB of line breaks": b"\r\n" * (_MUCH // 2),
        "a content type of 1 MB": _HEAD + b"Content-Type: " + b"a;" * 500_000 + b"\r\n\r\n",
        "101 header lines": _HEAD + b"X: y\r\n" * 100 + b"\r\n",
        "a head of 66 kB": _HEAD + b"X: " + b"y" * 66_000 + b"\r\n\r\n",
        "a path of 17 kB": b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "30 MB of trailers": _BODY + b"0\r\n" + b"X: y\r\n" * (_MUCH // 6),
        "a trailer of 30 MB": _BODY + b"0\r\nX: " + b"y" * _MUCH,
        "a chunk's extension of 30 MB": _BODY + b"5;a=" + b"y" * _MUCH,
    }


def bound_heads(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send each of them once, beside honest clients, and heads that are just small enough."""
    trial.warm_up(server)
    idle, requests = idle_uploads(server, trial), too_large()
    with watching_memory(server) as memory, honest_clients(server, trial, idle) as beside:
        replies = {}
        for name, request in requests.items():
            replies[name] = ask(server.port, request, seconds=_SECONDS)
            time.sleep(trial.plan.load_seconds / len(requests))
        large = ask(server.port, get("/livez", *["X: y"] * 90, "Y: " + "y" * 60_000))
        long = ask(server.port, get("/livez?" + "a" * 16_000))
    wrong = {name: reply.status for name, reply in replies.items() if reply.status not in _REFUSED}
    return [
        Finding("not refused with 431 or 414", len(wrong), target=0, detail=f"of {len(replies)} {wrong or ''}".strip()),
        Finding("the slowest refusal", max(reply.seconds for reply in replies.values()), "s", 1),
        Finding(
            "a head of 60 kB and a path of 16 kB: not answered", [large.status, long.status] != [200, 200], target=0
        ),
        Finding("memory added", memory.growth, "MB", 32),
        *beside.findings(),
    ]
