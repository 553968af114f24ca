"""A client of one request a connection, that tells every way in which an answer can fail to come."""

import json
import re
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.http import read_answer

HOST = "127.0.0.1"
_SECONDS = 15.0  # more is a hang
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*\d+", re.IGNORECASE)

Failure = Literal["", "refused", "closed", "reset", "timeout", "not HTTP"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a whole answer, or, with status 0, why none did."""

    status: int
    seconds: float
    received: bytes = b""
    failure: Failure = ""

    @property
    def head(self) -> bytes:
        """Give the answer's status line and headers."""
        return self.received.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def retry_after(self) -> bool:
        """Say whether the answer tells when to try again."""
        return _RETRY_AFTER.search(self.head) is not None

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object; empty if it is none."""
        try:
            document = json.loads(self.received.partition(b"\r\n\r\n")[2])
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def verdict(self) -> tuple[int, str, float]:
        """Give what must not depend on the neighbours: status, label and score."""
        document = self.json() if self.status == 200 else {}
        return self.status, str(document.get("label", "")), float(document.get("score", 0.0))


def ask(port: int, request: bytes | Iterable[bytes], *, seconds: float = _SECONDS) -> Reply:
    """Send a request, whole or in pieces, over a connection of its own, and await the answer.

    A server may answer and close before it has read everything: its answer counts.
    """
    started = time.perf_counter()
    pieces = [request] if isinstance(request, bytes) else request
    try:
        connection = socket.create_connection((HOST, port), timeout=seconds)
    except TimeoutError:
        return Reply(0, time.perf_counter() - started, failure="timeout")
    except OSError:
        return Reply(0, time.perf_counter() - started, failure="refused")
    with connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:  # it wants no more: what it has said instead is still to be read
            pass
        return _await(connection, started)


def get(path: str, *headers: str) -> bytes:
    """Build a GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""]).encode()


def post(path: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    """Build a POST request that declares the length of its body, or another."""
    declared = f"Content-Length: {len(body) if length is None else length}"
    host = [] if any(header.startswith("Host:") for header in headers) else [f"Host: {HOST}"]
    return "\r\n".join([f"POST {path} HTTP/1.1", *host, *headers, declared, "", ""]).encode() + body


def chunked(path: str, content_type: str) -> bytes:
    """Build the head of a POST request whose body comes in chunks."""
    lines = (f"POST {path} HTTP/1.1", f"Host: {HOST}", f"Content-Type: {content_type}", "Transfer-Encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode()


def count(replies: Sequence[Reply], lowest: int, highest: int) -> int:
    """Count the answers whose status is in a range, both ends included."""
    return sum(lowest <= reply.status <= highest for reply in replies)


def statuses(replies: Sequence[Reply]) -> str:
    """List how often each status or failure came."""
    kinds = [str(reply.status or reply.failure) for reply in replies]
    return ", ".join(f"{kinds.count(kind)} x {kind}" for kind in sorted(set(kinds)))


def _await(connection: socket.socket, started: float) -> Reply:
    received = bytearray()
    failure: Failure = "closed"
    try:
        while data := connection.recv(65_536):
            received += data
            if answer := read_answer(received):
                return Reply(answer.status, time.perf_counter() - started, bytes(received))
    except TimeoutError:
        failure = "timeout"
    except OSError:
        failure = "reset"
    except ValueError:  # no status where it belongs
        failure = "not HTTP"
    return Reply(0, time.perf_counter() - started, bytes(received), failure)
