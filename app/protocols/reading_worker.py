"""A reading worker: a process that reads large bodies, one after the other, so that nobody else has to wait for that.

`python -m whisker.app.protocols.reading_worker FD` talks over the socket FD with the service that started it, in frames
(a length and its bytes). Down go an `Order` as JSON and the body. Up come a `Reply`, as JSON, and the picture files.
Everything that comes up is plain, so that it cannot harm the service.
"""

import contextlib
import gc
import os
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path

from pydantic_core import from_json, to_json

from whisker.app.errors import InvalidUploadError, OverloadedError
from whisker.app.inference.child_signals import LEFT, ignore
from whisker.app.inference.wire import LENGTH
from whisker.app.protocols.readers import read
from whisker.app.protocols.reading import Order
from whisker.model.errors import PictureTooLargeError, WhiskerError

FAILURES = {kind.__name__: kind for kind in (InvalidUploadError, PictureTooLargeError, OverloadedError)}
_NICENESS = 5  # the HTTP process goes first, as for inference workers
_BYTES_A_BYTE = 12  # of a body: 4 as text, 4 as that text decoded, and what is made of it
_SPARE_BYTES = 128_000_000  # 300,000 values of JSON are a third of it


def main() -> None:
    """Serve the socket whose number is the only argument until it is closed."""
    ignore(LEFT)
    os.nice(_NICENESS)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as connection, contextlib.suppress(ConnectionError):
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Read bodies until the other side hangs up."""
    requests = connection.makefile("rb")
    while head := _read_frame(requests):
        order, body = Order(**from_json(head)), _read_frame(requests)
        with _limited_memory(len(body)):
            frames = _answer(order, body)
        del body
        for frame in frames:
            connection.sendall(LENGTH.pack(len(frame)))
            connection.sendall(frame)


def _answer(order: Order, body: bytes) -> Sequence[bytes]:
    try:
        reading = read(order, body)
    except WhiskerError as exc:
        return [to_json({"failed": [type(exc).__name__, str(exc)]})]
    except MemoryError:
        return [to_json({"failed": [OverloadedError.__name__, "The body takes more memory than there is."]})]
    return [to_json({"pictures": len(reading.pictures), "rest": reading.rest}), *reading.pictures]


@contextlib.contextmanager
def _limited_memory(body_bytes: int) -> Iterator[None]:
    """Let no body take more memory than one of its length may need. Only Linux counts what this limits."""
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
    limit = used + body_bytes * _BYTES_A_BYTE + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _read_frame(requests: BufferedReader) -> bytes:
    """Read a frame; it is empty when the other side has hung up."""
    start = requests.read(LENGTH.size)
    return requests.read(LENGTH.unpack(start)[0]) if len(start) == LENGTH.size else b""


if __name__ == "__main__":
    main()
