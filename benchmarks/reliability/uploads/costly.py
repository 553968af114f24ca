"""Pictures that cost far more than they weigh, beside an honest client."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

from benchmarks.http import form_request
from benchmarks.process import RunningServer
from benchmarks.reliability.client import Reply, ask, count, get, post, statuses
from benchmarks.reliability.costly_pictures import costly_metadata, costly_pixels, scanned_jpeg
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import Probes, probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import process_ids

_EVERY_SECONDS = 1.0  # one of the pictures
_HONEST_EVERY = 0.05
_FORM_PICTURES = 32
_MOST_AT_ONCE = 64
_BOUNDARY = "costly"


def answer_beside_costly_pictures(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send costly pictures and forms, one a second, while an honest client sends a photo."""
    trial.warm_up(server)
    photo, before = trial.requests[0], process_ids(server)
    with probing(server.port, photo, every=_HONEST_EVERY) as idle:
        time.sleep(trial.plan.idle_seconds)
    findings, replies = list[Finding](), list[Reply]()
    for name, requests in _attacks().items():
        with probing(server.port, photo, every=_HONEST_EVERY) as beside, probing(server.port, get("/livez")) as livez:
            answers = _send_in_turn(server.port, requests, trial.plan.load_seconds)
        findings += _judge(name, beside, livez, idle, answers)
        replies += answers
    return [
        *findings,
        Finding("costly requests without an answer, or 500", count(replies, 0, 0) + count(replies, 500, 500), target=0),
        Finding("processes that died", len(before - process_ids(server)), target=0),
    ]


def _attacks() -> Mapping[str, Sequence[bytes]]:
    """Build the requests that are sent in turn, by what is in them."""
    pixels, refused = [make() for make in costly_pixels().values()], scanned_jpeg((4_500, 4_500), 50)
    slow, light = scanned_jpeg((640, 480), 50), scanned_jpeg((1_000, 1_000), 12)
    return {
        "pictures of costly pixels": [form_request("/predict", picture) for picture in pixels],
        "drawings of the same": [form_request("/explain", picture) for picture in pixels],
        "pictures of costly metadata": [form_request("/predict", picture) for picture in costly_metadata().values()],
        "forms of 32 costly pictures": [_form([picture] * _FORM_PICTURES) for picture in (refused, slow, light)],
    }


def _form(pictures: Sequence[bytes]) -> bytes:
    """Build an upload of several pictures."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    body = b"".join([head + picture + b"\r\n" for picture in pictures]) + f"--{_BOUNDARY}--\r\n".encode()
    return post("/predict/batch", f"Content-Type: multipart/form-data; boundary={_BOUNDARY}", body=body)


def _send_in_turn(port: int, requests: Sequence[bytes], seconds: float) -> list[Reply]:
    """Send one request a second, whether or not the last is answered; each once, and then again for so long."""
    with ThreadPoolExecutor(_MOST_AT_ONCE) as clients:
        waiting = []
        for request in islice(cycle(requests), max(len(requests), round(seconds / _EVERY_SECONDS))):
            waiting.append(clients.submit(ask, port, request))
            time.sleep(_EVERY_SECONDS)
        return [reply.result() for reply in waiting]


def _judge(name: str, beside: Probes, livez: Probes, idle: Probes, answers: Sequence[Reply]) -> list[Finding]:
    p99 = f"{beside.p99_ms():.1f} ms against {idle.p99_ms():.1f} ms"
    return [
        Finding(f"{name}, one a second", len(answers), detail=statuses(answers)),
        Finding("an honest client meanwhile: not answered with 200", beside.failures(), target=0),
        Finding("its p99, by that of an idle server", beside.p99_ms() / idle.p99_ms(), "times", 2, detail=p99),
        Finding("/livez meanwhile, p99", livez.p99_ms(), "ms", 50),
    ]
