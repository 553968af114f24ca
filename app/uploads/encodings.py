"""Bodies that clients have compressed (`Content-Encoding`), taken as if they had not."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import BodyTooLargeError, InvalidUploadError, UnsupportedEncodingError, quoted
from whisker.app.uploads.body_limits import HAS_RECEIVED, declared_length
from whisker.app.uploads.inflater import CODINGS, Inflater

_HEADER = b"content-encoding"
_FREE_BYTES, _MAX_RATIO = 2_000_000, 100  # of what comes out: so much at any ratio, more at this one at most
_SPARE_BYTES = 65_536  # that may come in for nothing: what is compressed is hardly ever longer than what is not


class EncodedBodyMiddleware:
    """Decompress bodies piece by piece, before their bytes are counted as those of any other.

    All bodies share the turns: the event loop makes one step for all of them together, and then looks after others.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self._max_bytes = max_bytes
        self._turns = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            coding = _coding_of(scope)
            if coding is not None:
                length = declared_length(scope)
                receive = _EncodedBody(Inflater(coding), receive, self._turns, self._max_bytes, length).receive
                scope.pop(HAS_RECEIVED, None)  # a piece may bring forth nothing yet
        await self.app(scope, receive, send)


class _EncodedBody:
    """One body that is received compressed, `length` bytes if that was declared, and passed on as it was before."""

    def __init__(self, inflater: Inflater, receive: Receive, turns: asyncio.Lock, max_bytes: int, length: int) -> None:
        self._inflater = inflater
        self._receive = receive
        self._turns = turns
        self._max_bytes = max_bytes
        self._length = length
        self._received = 0
        self._has_all = self._is_done = False

    async def receive(self) -> Message:
        """Receive the next piece, decompressed."""
        while not self._is_done:
            if self._inflater.is_pending:
                piece = await self._step()
                if piece or self._is_done:
                    return {"type": "http.request", "body": piece, "more_body": not self._is_done}
            elif self._has_all:
                self._finish()
                return {"type": "http.request", "body": b"", "more_body": False}
            else:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._take(message)
        return await self._receive()  # that the client has left

    def _take(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        self._received += len(body)
        self._has_all = not message.get("more_body", False)
        if self._received > self._max_bytes:
            raise BodyTooLargeError(
                f"The request's body, compressed, is larger than the {self._max_bytes:,} bytes that are accepted."
            )
        self._inflater.feed(body)

    async def _step(self) -> bytes:
        async with self._turns:
            piece = self._inflater.step()
            await asyncio.sleep(0)  # the event loop goes round once before the next turn
        self._check()
        if self._has_all and not self._inflater.is_pending:
            self._finish()
        return piece

    def _check(self) -> None:
        """Refuse bodies that are made to take much memory, or much time."""
        produced, consumed = self._inflater.produced, self._inflater.consumed
        if produced > max(_FREE_BYTES, _MAX_RATIO * max(self._received, self._length)):
            raise BodyTooLargeError(f"The request's body is more than {_MAX_RATIO} times as large as it is compressed.")
        if consumed > produced + _SPARE_BYTES:
            raise InvalidUploadError("The request's body is larger compressed than it is otherwise.")

    def _finish(self) -> None:
        self._inflater.finish()
        self._is_done = True


def _coding_of(scope: Scope) -> str | None:
    """Name the coding of a request's body; `None` if there is none. Raises `UnsupportedEncodingError`."""
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER]
    if not given:
        return None
    codings = [it for one in ",".join(given).lower().split(",") if (it := one.strip()) not in ("", "identity")]
    if len(codings) > 1 or not {*codings} <= {*CODINGS, "x-gzip"}:
        raise UnsupportedEncodingError(
            f"The request's Content-Encoding is {quoted(', '.join(given))}, but a body may be compressed once, with "
            f"{' or '.join(CODINGS)}, or not at all."
        )
    return codings[0] if codings else None
