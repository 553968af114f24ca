"""Requests that are almost valid: mutated from good ones, the same for equal seeds."""

import random
from collections.abc import Iterator

from benchmarks.http import form_request, raw_request
from benchmarks.reliability.client import chunked, get, post

_PHOTO_BYTES = 1_500  # a truncated photo is enough: the head and the form are what is mutated
_HEAD_BYTES = 500  # where most mutations go
_MAX_MUTATIONS = 4
_TOKENS = (
    b"\0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b":",
    b"\xff\xfe",
    b"%00",
    b"../../../etc/passwd",
    b"\x1b[31m",
    b"--",
    b"0\r\n\r\n",
    b"-1",
    b"99999999999999999999",
    b"\r\nContent-Length: -1\r\n",
    b"\r\nContent-Length: 0\r\n",
    b"\r\nContent-Length: 1e9\r\n",
    b"\r\nTransfer-Encoding: chunked\r\n",
    b"\r\nTransfer-Encoding: gzip\r\n",
    b"\r\nContent-Type: multipart/form-data\r\n",
    b"\r\nExpect: 100-continue\r\n",
    b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    b"\r\nHost: a\r\nHost: b\r\n",
    b"\r\nX: " + b"A" * 20_000 + b"\r\n",
    b"?top_k=" + b"9" * 400,
    b"; boundary=" + b"b" * 300,
    b"\"; filename*=utf-8''%ff; name=\"",
)


_UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")


def valid_requests(photo: bytes) -> list[bytes]:
    """Build requests of every kind that the service answers, some of them with others behind them."""
    part = photo[:_PHOTO_BYTES]
    return [
        form_request("/predict", part),
        form_request("/predict/batch", part),
        raw_request("/predict?top_k=1", part),
        chunked("/predict", "image/jpeg") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(part), part),
        post("/predict", "Content-Type: application/x-www-form-urlencoded", body=b"file=photo"),
        get("/livez"),
        get("/model", "Accept: */*", "X-Request-ID: abc"),
        get("/docs"),
        get("/livez") * 3 + form_request("/predict", part),
        post("/predict", "Content-Type: image/jpeg", *_UPGRADE, body=part) + get("/livez"),
        chunked("/predict", "image/jpeg") + b"5;a=b\r\nhello\r\n0\r\nX: y\r\nContent-Length: 5\r\n\r\n" + get("/livez"),
    ]


def mutated_requests(photo: bytes, number: int, seed: int) -> Iterator[bytes]:
    """Mutate valid requests, so many in all."""
    rng = random.Random(seed)  # noqa: S311 - requests, not secrets
    whole = valid_requests(photo)
    for _ in range(number):
        request = rng.choice(whole)
        for _ in range(rng.randrange(1, _MAX_MUTATIONS + 1)):
            request = _mutate(rng, request, rng.choice(whole))
        yield request


def _mutate(rng: random.Random, request: bytes, other: bytes) -> bytes:
    at, length = _place(rng, request), rng.randrange(1, 40)
    start, middle, end = request[:at], request[at : at + length], request[at + length :]
    ways = (
        start + rng.choice(_TOKENS) + middle + end,
        start + rng.choice(_TOKENS) + end,
        start + rng.randbytes(length) + end,
        start + end,
        start + middle * rng.randrange(2, 50) + end,
        start + other[_place(rng, other) :],
        start,
    )
    return rng.choice(ways)


def _place(rng: random.Random, request: bytes) -> int:
    return rng.randrange(max(1, min(len(request), rng.choice((_HEAD_BYTES, len(request))))))
