"""Bodies that take longest to read: JSON, Base64, tensors and forms, each as large as the service takes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.process import RunningServer
from benchmarks.reliability.client import Reply, ask, count, get, post, statuses
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.prober import probing
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.watch import process_ids

_BYTES = 19_000_000  # of a body
_CLIENTS, _ROUNDS = 8, 2  # at once, and what each sends of a kind
_PATIENCE = 60.0  # seconds: eight of the worst are read one after the other
_HONEST_EVERY = 0.05
_DIGITS = 4_300  # of a number: the most that Python takes
_SIDE = 2_500  # pixels
_VALUES = 290_000  # of a document: the service takes 300,000
_BOUNDARY = "B"
_PART = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
_JSON = "Content-Type: application/json"
_FORM = f"Content-Type: multipart/form-data; boundary={_BOUNDARY}"
_ODD = {
    "true as a size": b'[true, true, 3], "data": [1, 2, 3]',
    "a size below 0": b'[-1, -1, 3], "data": [1, 2, 3]',
    "a huge size": b"[" + b"9" * 4_000 + b', 1, 3], "data": [1, 2, 3]',
    "a size of 1.0": b'[1.0, 1, 3], "data": [1, 2, 3]',
    "NaN": b'[1, 1, 3], "data": [NaN, 2, 3]',
    "true as a pixel": b'[1, 1, 3], "data": [true, 2, 3]',
    "a pixel below 0": b'[1, 1, 3], "data": [-1, 2, 3]',
    "half of a pair of surrogates": b'[1, 1, 3], "data": ["\\ud800", 2, 3]',
    "what is not UTF-8": b'[1, 1, 3], "data": ["\xff", 2, 3]',
    "100,000 lists in each other": b'[1, 1, 3], "data": ' + b"[" * 100_000 + b"]" * 100_000,
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of one kind of body: its answers, and what honest clients saw meanwhile."""

    replies: Sequence[Reply]
    live_p99: float
    not_live: int
    photo_p99: float
    not_answered: int


def bound_json(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send the worst bodies from eight clients at once, while others ask `/livez` and send photos."""
    trial.warm_up(server)
    name = str(ask(server.port, get("/model")).json().get("name", "model"))
    before = process_ids(server)
    odd = {what: ask(server.port, _tensor(name, given)) for what, given in _ODD.items()}
    seen = {what: _attack(server, trial, request) for what, request in _worst(name)}
    replies = [reply for one in seen.values() for reply in one.replies]
    slowest, photos = max(seen, key=lambda it: seen[it].live_p99), max(seen, key=lambda it: seen[it].photo_p99)
    failed = {what: one for what, one in seen.items() if count(one.replies, 500, 599) or count(one.replies, 0, 0)}
    others = {what: reply.status for what, reply in odd.items() if reply.status != 422}
    return [
        Finding("odd values: not refused with 422", len(others), target=0, detail=_tell(others)),
        Finding(f"bodies of {_BYTES / 1e6:.0f} MB", len(replies), detail=statuses(replies)),
        Finding(
            "answered 5xx or not at all",
            count(replies, 500, 599) + count(replies, 0, 0),
            target=0,
            detail="; ".join(f"{what}: {statuses(one.replies)}" for what, one in failed.items()),
        ),
        Finding("/livez meanwhile, p99 of the worst kind", seen[slowest].live_p99, "ms", 50, detail=slowest),
        Finding("/livez meanwhile, not 200", sum(one.not_live for one in seen.values()), target=0),
        Finding("photos meanwhile, not answered with 200", sum(one.not_answered for one in seen.values()), target=0),
        Finding("photos meanwhile, p99 of the worst kind", seen[photos].photo_p99, "ms", detail=photos),
        Finding("processes that died", len(before - process_ids(server)), target=0),
    ]


def _attack(server: RunningServer, trial: Trial, request: bytes) -> _Seen:
    with (
        probing(server.port, get("/livez")) as live,
        probing(server.port, trial.requests[0], every=_HONEST_EVERY) as honest,
        ThreadPoolExecutor(_CLIENTS) as clients,
    ):
        replies = list(
            clients.map(lambda one: ask(server.port, one, seconds=_PATIENCE), [request] * _CLIENTS * _ROUNDS)
        )
    return _Seen(replies, live.p99_ms(), live.failures(), honest.p99_ms(), honest.failures())


def _fill(pattern: bytes, start: bytes = b"", end: bytes = b"") -> bytes:
    return start + pattern * ((_BYTES - len(start) - len(end)) // len(pattern)) + end


def _tensor(name: str, shape_and_data: bytes) -> bytes:
    given = b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": ' + shape_and_data + b"}]}"
    return post(f"/v2/models/{name}/infer", _JSON, body=given)


def _worst(name: str) -> Iterator[tuple[str, bytes]]:
    """Make what takes longest to read, one after the other: together they are half a gigabyte."""
    for what, body in _documents():
        yield what, post("/", _JSON, body=body)
    shape_and_data = b'[100, %d, 3], "data": [1%b]' % (_VALUES // 300, b",1".rjust(60) * (_VALUES // 300 * 300 - 1))
    yield "a list of pixels", _tensor(name, shape_and_data)
    yield "a list of too many pixels", _tensor(name, _fill(b"1,", b'[1, 1, 3], "data": [', b"1]"))
    yield "a tensor of pixels", _binary_tensor(name)
    pictures = b",".join([b'{"b64": "%b"}' % (b"QUJD" * (_BYTES // 130))] * 32)
    yield "Base64 of 32 pictures", post(f"/v1/models/{name}:predict", _JSON, body=b'{"instances": [%b]}' % pictures)
    for what, body in _forms():
        yield f"a form: {what}", post("/predict", _FORM, body=body)


def _documents() -> Iterator[tuple[str, bytes]]:
    yield "numbers of 4,300 digits", _fill(b"9" * _DIGITS + b",", b'{"a": [', b"1]}")
    yield "Base64", _fill(b"QUJD", b'{"inputs": "', b'"}')
    yield "names", b"{%b}" % b",".join(b'"%060d": {}' % number for number in range(_VALUES // 2))
    yield "lists in lists", _fill(b"[")
    yield "blanks", _fill(b" ")
    yield "emoji", _fill("😀".encode(), b'{"inputs": "', b'"}')


def _forms() -> Iterator[tuple[str, bytes]]:
    yield "line breaks", _fill(b"\r\n", _PART + b"\r\n")
    yield "beginnings of its boundary", _fill(b"\r\n--", _PART + b"\r\n")
    yield "its boundary without an end", _fill(b"\r\n--B-x", _PART + b"\r\n")
    yield "blanks after its boundary", _fill(b" ", _PART + b"\r\n\r\n--B")
    yield "a header of megabytes", _fill(b"x", _PART + b"X: ")
    yield "thousands of headers", _fill(b"X: y\r\n", _PART)
    yield "a text", _fill(b"x", b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n')


def _binary_tensor(name: str) -> bytes:
    content = bytes(_SIDE * _SIDE * 3)
    parameters = {"binary_data_size": len(content)}
    given = {"name": "image", "datatype": "UINT8", "shape": [_SIDE, _SIDE, 3], "parameters": parameters}
    head = json.dumps({"inputs": [given]}).encode()
    length = f"Inference-Header-Content-Length: {len(head)}"
    return post(f"/v2/models/{name}/infer", length, body=head + content)


def _tell(others: Mapping[str, int]) -> str:
    return "; ".join(f"{what}: {status}" for what, status in others.items())
