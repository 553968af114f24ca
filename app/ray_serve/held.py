"""What a proxy holds of a request and of its answer, so that it can ask another replica for it."""

import asyncio
import time
from collections.abc import Iterable

from starlette.types import Message, Receive, Send

from whisker.app.errors import ClientGoneError, DeadlineExceededError
from whisker.app.web.security import NOSNIFF

_MAX_ANSWER_BYTES = 4_000_000  # that are held: heat maps have less; of what is longer, the client gets a part
_MARK = NOSNIFF[0].lower().encode()


class HeldRequest:
    """A request whose body is complete, and due to be answered within `seconds`."""

    def __init__(self, body: bytes, receive: Receive, seconds: float) -> None:
        self._body = body
        self._receive = receive
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._is_gone = self._is_late = False

    @classmethod
    async def read(cls, receive: Receive, seconds: float) -> "HeldRequest":
        """Receive the body; raise `ClientGoneError`, and whatever `receive` raises for a body that is refused."""
        parts, is_complete = list[bytes](), False
        while not is_complete:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError("The connection was closed before the upload was complete.")
            parts.append(message.get("body", b""))
            is_complete = not message.get("more_body", False)
        return cls(b"".join(parts), receive, seconds)

    def attempt(self) -> Receive:
        """Give what one attempt receives: the body, and a disconnect when nobody needs its answer any more."""
        messages: list[Message] = [{"type": "http.request", "body": self._body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else await self._disconnect()

        return receive

    def require_time(self) -> None:
        """Raise `ClientGoneError` or `DeadlineExceededError` if another attempt is in vain."""
        if self._is_gone:
            raise ClientGoneError("The connection was closed before the answer was ready.")
        if self._is_late or time.monotonic() >= self._due:
            raise DeadlineExceededError(f"There was no answer within {self._seconds:g} seconds.")

    async def _disconnect(self) -> Message:
        message: Message = {"type": "http.disconnect"}
        try:
            async with asyncio.timeout(self._due - time.monotonic()):
                while message["type"] != (await self._receive())["type"]:
                    pass
        except TimeoutError:
            self._is_late = True
        else:
            self._is_gone = True
        return message


class HeldAnswer:
    """An answer of a replica, which the client gets when it is complete, or very long."""

    def __init__(self, send: Send) -> None:
        self.is_complete = False
        self.is_sent = False  # a part of it, at least
        self.refused_with = 0  # by Ray, which has found no replica: its own status
        self._send = send
        self._messages = list[Message]()
        self._bytes = 0

    async def take(self, message: Message) -> None:
        """Hold a part of the answer, and pass on what has become too long to be held."""
        if message["type"] == "http.response.start" and not _is_from_service(message.get("headers", ())):
            self.refused_with = message["status"]
        if self.refused_with:
            return
        self._messages.append(message)
        if message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
        if self.is_complete or self._bytes > _MAX_ANSWER_BYTES:
            await self._pass_on()

    async def _pass_on(self) -> None:
        self.is_sent = True
        messages, self._messages = self._messages, []
        for message in messages:
            await self._send(message)


def _is_from_service(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == _MARK for name, _ in headers)
