"""Pages of other sites that an operator has named: what they may ask of the service, and be told of its answers (CORS).

The protocol is that of the Fetch standard. Nothing is sent for pages of other origins: browsers keep answers from them.
"""

from collections.abc import Iterable, Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY = "*"
_NEVER = frozenset(
    {"/", "/answer", "/card", "/corrections", "/label", "/metrics", "/review", "/docs"}
)  # for people, and for operators
_NEVER_BELOW = ("/docs/", "/page/", "/examples/", "/label/", "/review/")
_TAKEN = "Authorization, Content-Type, Content-Encoding, X-Request-ID, X-Correlation-ID, X-Requested-With"
_TRACED = "traceparent, tracestate, baggage, Inference-Header-Content-Length"
_TOLD = "X-Request-ID, Retry-After, Server-Timing, traceresponse, Inference-Header-Content-Length"
_METHODS = "GET, HEAD, POST"
_MAX_AGE_SECONDS = 7_200  # the longest that browsers keep an answer to a preflight request

_Headers = Sequence[tuple[bytes, bytes]]


class CorsOrigins:
    """The origins whose pages may use the service, and what an answer says to their browsers."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(it.encode() for it in origins)
        self._is_any = ANY.encode() in self._origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allow(self, scope: Scope) -> bool:
        """Tell whether a request comes from a page of such an origin, and asks for what those pages may have."""
        return self._origin(scope["headers"]) is not None and _is_open(_path(scope), scope["method"])

    def answer_headers(self, path: str, method: str, headers: Iterable[tuple[bytes, bytes]]) -> _Headers:
        """List the headers of an answer; there are none where pages of other sites get no answer anyway."""
        if not self._origins or not _is_open(path, method):
            return ()
        varies = (b"vary", b"Origin")  # the answer: no cache may give it to another page
        origin = self._origin(headers)
        if origin is None:
            return (varies,)
        return (
            varies,
            (b"access-control-allow-origin", ANY.encode() if self._is_any else origin),
            (b"access-control-expose-headers", _TOLD.encode()),
        )

    def _origin(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        given = [value for name, value in headers if name == b"origin"]
        if len(given) == 1 and given[0] and (self._is_any or given[0] in self._origins):
            return given[0]
        return None


class CorsMiddleware:
    """Answer a browser's question before the request (preflight), and tell it who may read the answer, errors too."""

    def __init__(self, app: ASGIApp, *, origins: CorsOrigins) -> None:
        self.app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._origins:
            await self.app(scope, receive, send)
            return
        asked = _asked_method(scope)
        about: Scope = scope if asked is None else {**scope, "method": asked}
        headers = self._origins.answer_headers(_path(scope), about["method"], scope["headers"])

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message, headers)
            await send(message)

        if asked is not None and self._origins.allow(about):
            await send_told({"type": "http.response.start", "status": 204, "headers": _preflight()})
            await send({"type": "http.response.body"})
        else:
            await self.app(scope, receive, send_told if headers else send)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _add(message: Message, headers: _Headers) -> None:
    told = MutableHeaders(scope=message)
    for name, value in headers:
        if name == b"vary":
            told.add_vary_header(value.decode())
        else:
            told.append(name.decode(), value.decode("latin-1"))


def _asked_method(scope: Scope) -> str | None:
    """Name the method that a preflight request is about; `None` if the request is no such question."""
    if scope["method"] != "OPTIONS":
        return None
    return next(
        (it.decode("latin-1") for name, it in scope["headers"] if name == b"access-control-request-method"), None
    )


def _preflight() -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-methods", _METHODS.encode()),
        (b"access-control-allow-headers", f"{_TAKEN}, {_TRACED}".encode()),
        (b"access-control-max-age", str(_MAX_AGE_SECONDS).encode()),
    ]


def _is_open(path: str, method: str) -> bool:
    """Tell whether other sites' pages may ask for a path: for none that is for people, operators, or keeps anything."""
    bare = path.rstrip("/") or "/"
    if bare == "/":
        return method == "POST"  # a protocol's; what is read there is the page
    return bare not in _NEVER and not path.startswith(_NEVER_BELOW)
