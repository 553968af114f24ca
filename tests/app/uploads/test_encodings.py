"""Compressed bodies: the same bytes come out, within the limits, in steps that hold nobody up."""

import asyncio
import gzip
import os
import zlib
from collections.abc import Callable, Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from whisker.app.errors import BodyTooLargeError, InvalidUploadError, UnsupportedEncodingError, UploadError
from whisker.app.uploads.body_limits import BodyLimitMiddleware
from whisker.app.uploads.encodings import EncodedBodyMiddleware
from whisker.app.uploads.inflater import STEP_BYTES

pytestmark = pytest.mark.anyio

_NOISE = os.urandom(200_000)
_HEAD = gzip.compress(b"")[:10]


def _raw(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


async def pass_on(coding: str, pieces: Sequence[bytes], *, max_bytes: int = 1_000_000, length: int = 0) -> list[bytes]:
    """Send a body through the middleware and the limits, and return the pieces in which it comes out."""
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = False
    out = list[bytes]()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        more = True
        while more:
            message = await receive()
            out.append(message["body"])
            more = message["more_body"]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is answered")

    limited = BodyLimitMiddleware(app, max_bytes=max_bytes, max_held_bytes=10**9, max_seconds=30)
    headers = [(b"content-encoding", coding.encode()), (b"content-length", b"%d" % length)]
    scope: Scope = {"type": "http", "method": "POST", "headers": headers[: 1 + bool(length)]}
    await EncodedBodyMiddleware(limited, max_bytes=max_bytes)(scope, receive, send)
    return out


@pytest.mark.parametrize("piece", [7, 4_000, 1_000_000])
@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _raw),
        ("identity", bytes),
    ],
)
async def test_same_bytes_come_out(coding: str, compress: Callable[[bytes], bytes], piece: int) -> None:
    data = _NOISE[:700] if piece == 7 else _NOISE + bytes(100_000)
    compressed = compress(data)
    pieces = [compressed[at : at + piece] for at in range(0, len(compressed), piece)]
    out = await pass_on(coding, pieces)
    assert b"".join(out) == data
    assert coding == "identity" or max(map(len, out)) <= STEP_BYTES


_CASES: dict[str, tuple[str, bytes, type[UploadError]]] = {
    "bomb": ("gzip", gzip.compress(bytes(50_000_000)), BodyTooLargeError),
    "larger than it may be": ("gzip", gzip.compress(_NOISE * 6), BodyTooLargeError),
    "nothing, at length": ("gzip", _HEAD + b"\0\0\0\xff\xff" * 40_000, InvalidUploadError),
    "nothing, again and again": ("gzip", gzip.compress(b"") * 1_001, InvalidUploadError),
    "name without an end": ("gzip", b"\x1f\x8b\x08\x08" + b"a" * 200_000, InvalidUploadError),
    "not compressed": ("gzip", _NOISE, InvalidUploadError),
    "cut off": ("gzip", gzip.compress(_NOISE)[:-9], InvalidUploadError),
    "cut off in its head": ("deflate", b"x", InvalidUploadError),
    "empty": ("gzip", b"", InvalidUploadError),
    "wrong checksum": ("gzip", gzip.compress(_NOISE)[:-8] + bytes(8), InvalidUploadError),
    "more after its end": ("deflate", zlib.compress(_NOISE) + b"more", InvalidUploadError),
    "brotli": ("br", _NOISE, UnsupportedEncodingError),
    "zstd": ("zstd", _NOISE, UnsupportedEncodingError),
    "twice": ("gzip, gzip", _NOISE, UnsupportedEncodingError),
    "quoted": ("`gzip`", _NOISE, UnsupportedEncodingError),
}


@pytest.mark.parametrize(("coding", "body", "error"), _CASES.values(), ids=_CASES.keys())
async def test_what_cannot_be_taken_is_refused(coding: str, body: bytes, error: type[UploadError]) -> None:
    with pytest.raises(error):
        await pass_on(coding, [body])


async def test_ratio_is_that_of_the_whole_body() -> None:
    """A sky that compresses well does not make a picture a bomb, but a body of which all is like that is one."""
    sky = bytes(2_500_000)
    compressed = gzip.compress(sky + os.urandom(100_000))
    pieces = [compressed[:4_000], compressed[4_000:]]
    assert len(b"".join(await pass_on("gzip", pieces, max_bytes=10_000_000, length=len(compressed)))) == 2_600_000
    with pytest.raises(BodyTooLargeError, match="more than 100 times"):
        await pass_on("gzip", [gzip.compress(sky)], max_bytes=10_000_000)


async def test_others_have_a_turn_after_each_step() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    out = await pass_on("gzip", [gzip.compress(bytes(1_000_000) + _NOISE)], max_bytes=2_000_000)
    counting.cancel()
    assert turns >= len(out) > 10
