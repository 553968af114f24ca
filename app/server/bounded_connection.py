"""Bounds of what a client may send besides bodies: how much, how many requests ahead, how finely cut."""

import time
from typing import Any

from whisker.app.errors import MalformedRequestError, ServiceError
from whisker.app.server.head_size import MAX_HEAD_BYTES, MAX_TARGET_BYTES, endless_head, head_refusal
from whisker.app.server.reading_turns import ReadingTurns
from whisker.app.server.uvicorn_internals import HttpConnection, StopReadingError
from whisker.app.time_limits import FAREWELL_SECONDS

MAX_WAITING = 8  # requests, sent without awaiting the answers before
_SLICE_BYTES, _CHUNKED_SLICE_BYTES = 65_536, 16_384  # parsed at a time, the latter if they come in chunks


class BoundedConnection(HttpConnection):
    """Read no more from a client that sends what it may not; answer what it has asked before, and end."""

    def __init__(self, *args: Any, turns: ReadingTurns, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receives_head = self.receives_body = False
        self.leaves_at: float | None = None  # when to close a connection that has been refused
        self._barren = 0  # bytes received that no head and no part of a body has come out of yet
        self._begun = 0  # requests among the bytes that have come in this moment
        self._is_chunked = False  # the body that is being received
        self._rest = b""  # of what has been received, to be parsed later
        self._is_deaf = False  # discards what else the client sends
        self._turns = turns

    def refuse(self, exc: ServiceError) -> None:
        """Write a problem, with which the connection ends."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        if self._rest:  # read before that could be held
            self._rest += data
        else:
            self._turns.count(self, len(data))
            self.receive(data)

    def go_on(self) -> None:
        """Parse what has been received before, and read again: it is this connection's turn."""
        rest, self._rest = self._rest, b""
        if self.transport.is_closing():
            return
        self.receive(rest)
        if not self._rest:
            self.release_reading()

    def receive(self, data: bytes) -> None:
        """Parse what has been received, a slice at a time.

        Chunks of a byte take fifty times as long as large ones, so others have a turn after each slice of chunks.
        """
        self._begun = end = 0
        while end < len(data) and not self._is_deaf:
            start, end = end, end + (_CHUNKED_SLICE_BYTES if self._is_chunked else _SLICE_BYTES)
            self._parse(data[start:end])
            if self._is_chunked and end < len(data):
                self._rest = data[end:]
                self._turns.wait(self)
                return

    def on_malformed(self) -> None:
        self._stop(MalformedRequestError("The bytes received are not HTTP."))

    def on_message_begin(self) -> None:
        self._begun += 1
        if max(self._begun, self.waiting_requests + 1) > MAX_WAITING:
            self._stop(None)
            raise StopReadingError
        super().on_message_begin()
        self.receives_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.receives_head:  # else it is of a trailer, and could contradict what has been decided
            super().on_header(name, value)

    def on_head(self) -> None:
        refusal = head_refusal(self.url, self.headers)
        if refusal is not None:
            self._stop(refusal)
            raise StopReadingError
        self._barren = 0
        self.receives_head, self.receives_body = False, True
        self._is_chunked = bool(self.request_header(b"transfer-encoding"))
        self.on_request()

    def on_request(self) -> None:
        """Start to answer a request whose head is complete, or have it wait for its turn."""
        super().on_head()

    def on_body(self, body: bytes) -> None:
        self._barren = 0
        super().on_body(body)

    def on_received(self) -> None:
        self._barren = 0
        super().on_received()
        self._is_chunked = self.receives_body = False

    def _parse(self, data: bytes) -> None:
        self._barren += len(data)
        super().data_received(data)
        if self._barren > MAX_HEAD_BYTES and not self._is_deaf:
            is_target = self.receives_head and len(self.url) > MAX_TARGET_BYTES
            self._stop(head_refusal(self.url, []) if is_target else endless_head())

    def _stop(self, exc: ServiceError | None) -> None:
        """Hear no more of the client: answer what waits, or refuse what it has begun, and end the connection."""
        self._is_deaf = True
        if self.receives_body and self.may_still_refuse:
            self.abandon_request()
        elif self.waiting_requests:
            self.close_after_answer()
            return
        elif self.receives_body:  # of a request that has been answered
            exc = None
        if exc is not None:
            self.refuse(exc)
        self.leaves_at = time.monotonic() + FAREWELL_SECONDS
        self.transport.write_eof()  # closed with bytes unread, the client might not see why
