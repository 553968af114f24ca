"""Problems as bytes, for connections that answer without an application."""

from collections.abc import Sequence

from whisker.app.web.problems import MEDIA_TYPE, problem_headers, problem_of
from whisker.app.web.request_id import HEADER
from whisker.app.web.security import CLOSED_POLICY, NOSNIFF

_PLACE = b"{request id}"  # no client's id is like this


class RawProblem:
    """An answer that describes an error, written again and again with another request id.

    The connection ends with it unless it `keeps` open.
    """

    def __init__(self, exc: Exception, *, keeps: bool) -> None:
        problem = problem_of(exc, _PLACE.decode())
        headers = {
            "Content-Type": MEDIA_TYPE,
            **dict([NOSNIFF, CLOSED_POLICY]),
            **problem_headers(exc),
            **({} if keeps else {"Connection": "close"}),
        }
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        self._status = f"HTTP/1.1 {problem.status} {problem.title}\r\n".encode()
        self._headers = f"{lines}{HEADER}: ".encode()
        self._before, _, self._after = problem.model_dump_json().encode().partition(_PLACE)
        self._length = len(self._before) + len(self._after)

    def to_bytes(self, request_id: str, common: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Write the answer; `common` are the headers of every answer."""
        name = request_id.encode()
        length = b"\r\nContent-Length: %d\r\n\r\n" % (self._length + len(name))
        shared = [b"%b: %b\r\n" % header for header in common]
        return b"".join(
            [self._status, *shared, self._headers, name, length, self._before, name, self._after],
        )
