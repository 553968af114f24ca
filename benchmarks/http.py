"""As much of HTTP/1.1 as a load generator needs: requests built beforehand, and where an answer ends."""

import re
from dataclasses import dataclass

_BOUNDARY = "whisker-7d1f4e6f8a2b4c6d8e0f1a2b"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer's status, and whether the connection stays open after it."""

    status: int
    keep_alive: bool


def form_request(path: str, photo: bytes, *, field: str = "file") -> bytes:
    """Build a whole request that uploads a JPEG photo in a form's `field`."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return _post(path, f"multipart/form-data; boundary={_BOUNDARY}", body)


def raw_request(path: str, photo: bytes) -> bytes:
    """Build a whole request whose body is the JPEG photo itself."""
    return _post(path, "image/jpeg", photo)


def read_answer(received: bytes | bytearray) -> Answer | None:
    """Read the answer to the one request under way, or return `None` until all of it is there.

    One that gives no length ends with its connection, and is taken for complete after its head.
    """
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head, body_start = bytes(received[: head_end + 2]), head_end + 4
    status, keep_alive, complete = int(head[9:12]), _CLOSE.search(head) is None, True
    if length := _LENGTH.search(head):
        complete = len(received) >= body_start + int(length[1])
    elif _CHUNKED.search(head):
        complete = received.endswith(b"\r\n0\r\n\r\n") or received[body_start:] == b"0\r\n\r\n"
    else:
        keep_alive = False
    return Answer(status, keep_alive) if complete else None


def _post(path: str, content_type: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
