"""uvicorn, and those of its internals that the service needs. No other module imports uvicorn.

uvicorn has no public hook for the head of a request, a refusal without a request, or the connections of a server.
These names are not promised to anybody. So they are used in this module alone, `pyproject.toml` bounds uvicorn's
version, and importing this module checks that the version is the expected one and that the names exist.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from whisker.app.time_limits import GRACEFUL_SECONDS
from whisker.model.errors import ConfigError

SERIES = "0.54"
_ATTRIBUTES = {"app", "cycle", "flow", "headers", "parser", "pipeline", "scope", "server_state", "transport"}
_CALLBACKS = (
    "_start_asgi_task",
    "on_body",
    "on_header",
    "on_headers_complete",
    "on_message_begin",
    "on_message_complete",
    "on_response_complete",
    "pause_writing",
    "resume_writing",
)
_SERVER_METHODS = ("capture_signals", "handle_exit", "on_tick", "serve", "shutdown", "startup")
# Stands for a request that has been answered, while the rest of its body is discarded.
_ANSWERED: Any = SimpleNamespace(response_complete=True, disconnected=False, message_event=asyncio.Event())


class _Flow(FlowControl):
    """uvicorn's control of a connection's flow, which it resumes whenever a body is awaited; here not while held."""

    _is_held = False
    _is_wanted = True  # by uvicorn, to be read

    def pause_reading(self) -> None:
        self._is_wanted = False
        super().pause_reading()

    def resume_reading(self) -> None:
        self._is_wanted = True
        if not self._is_held:
            super().resume_reading()

    def hold(self) -> None:
        self._is_held = True
        super().pause_reading()

    def release(self) -> None:
        self._is_held = False
        if self._is_wanted:
            super().resume_reading()


class _HeadFirst:
    """Stands for a connection's transport while the two parts of an answer are written: they leave as one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            self._transport.write(self._head + data)
        else:
            self._head = data

    def close(self) -> None:
        self._transport.close()


class _Cycle(RequestResponseCycle):
    """uvicorn's request and its answer, whose head waits for the first part of its body.

    Each write is a system call here, and two more in a client that wakes up for the head and cannot use it.
    """

    _start: Any = None  # of the answer, while it waits

    async def send(self, message: Any) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self.flow.drain()
            transport = self.transport
            self.transport = cast("Any", _HeadFirst(transport))
            try:
                await super().send(start)
                await super().send(message)
            finally:
                self.transport = transport
        elif message["type"] == "http.response.start" and self.scope["method"] != "HEAD" and not self.response_started:
            self._start = message
        else:
            await super().send(message)

    async def send_500_response(self) -> None:
        """Answer for an application that has failed; a head that still waits was never sent."""
        self._start = None
        await super().send_500_response()


class StopReadingError(Exception):
    """Raised in a connection's callback: the parser is to read no further."""


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection, with names for what a subclass may ask and do.

    Its callbacks may be overridden: `data_received`, `on_message_begin`, `on_header`, `on_head`, `on_body`,
    `on_received`, `on_response_complete`, `resume_writing` and `on_malformed`. Those that the parser calls may raise
    `StopReadingError`.

    A client that does not take its answer is not read from: one answer a connection is on its way. What asks for
    another protocol is answered as if it had not (RFC 9110, 7.8).
    """

    _flow: _Flow
    _is_taken = True  # the latest complete answer, or enough of it
    _running: Any = None  # the request that is being answered

    def wrap_application(self, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        """Let requests be answered by what `wrap` makes of the application."""
        self.app = cast("Any", wrap(cast("ASGIApp", self.app)))

    @property
    def is_idle(self) -> bool:
        """Tell whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def request_method(self) -> bytes:
        return self.parser.get_method()

    @property
    def request_scope(self) -> Scope:
        """Give the ASGI scope of the request whose head has come."""
        return cast("Scope", self.scope)

    @property
    def has_received(self) -> Callable[[], bool]:
        """Tell, when called, whether `receive` has something at once for the request whose head has come."""
        return self.cycle.message_event.is_set

    @property
    def wants_keep_alive(self) -> bool:
        """Tell whether the client wants to send another request on this connection."""
        return self.parser.should_keep_alive()

    @property
    def common_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """List the headers of every answer, such as the date."""
        return self.server_state.default_headers

    def request_header(self, name: bytes) -> bytes:
        """Give the first value of a header, by its name in lower case; empty if there is none."""
        return next((value for key, value in self.headers if key == name), b"")

    @property
    def request_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """List the headers of the latest request, as far as they have come, with their names in lower case."""
        return self.headers or ()

    @property
    def request_path(self) -> str:
        """Give the path of the latest request, as far as it has come, without its escapes."""
        return unquote((self.url or b"").partition(b"?")[0].decode("latin-1"))

    @property
    def waiting_requests(self) -> int:
        """Count the requests that are being answered, or whose turn has not come."""
        return len(self.pipeline) + (not self.is_idle)

    @property
    def unsent_bytes(self) -> int:
        """Count the bytes of answers that the system has not taken for the client."""
        return self.transport.get_write_buffer_size()

    def hold_reading(self) -> None:
        """Read nothing more from the client until `release_reading`."""
        self._flow.hold()

    def release_reading(self) -> None:
        """Read again, unless what was received before has to be taken first."""
        self._flow.release()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)

    def data_received(self, data: bytes) -> None:
        parts: deque[bytes | memoryview] = deque([data])
        while parts:
            part = parts.popleft()
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade as exc:
                if self.request_method == b"CONNECT":
                    self.on_malformed()
                    return
                parts.extendleft([memoryview(part)[exc.args[0] :], self._head_without_upgrade()])
                self.parser = _parser(self)
            except httptools.HttpParserCallbackError as exc:
                if not isinstance(exc.__context__, StopReadingError):
                    raise
                return
            except httptools.HttpParserError:
                self.on_malformed()
                return

    def on_headers_complete(self) -> None:
        # The parser would take the body for the other protocol's bytes. The head comes again, see `data_received`.
        if not self.parser.should_upgrade():
            self.on_head()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self.on_received()

    def on_head(self) -> None:
        """Be told that a request's head is complete: start to answer it, or have it wait for its turn."""
        super().on_headers_complete()

    def on_received(self) -> None:
        """Be told that a request is complete."""
        super().on_message_complete()

    def on_malformed(self) -> None:
        """Be told that what the client sends is not HTTP, or not meant for a server such as this."""
        raise NotImplementedError

    def on_response_complete(self) -> None:
        # uvicorn's own would set a timer for idle connections, too. Here whoever watches them closes them.
        if self.transport.is_closing():
            return
        if self.flow.write_paused:  # the next answer has to wait until this one has been taken
            self._is_taken = False
            self.flow.pause_reading()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self.transport.is_closing():
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        was_taken, self._is_taken = self._is_taken, True
        if self.transport.is_closing():
            return
        if not self.pipeline:
            self.flow.resume_reading()
        elif not was_taken:
            self._start_asgi_task(*self.pipeline.pop())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._running is not None:  # uvicorn tells the latest request alone
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.__class__ = _Cycle  # uvicorn has no hook for its own class, which has no slots either
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.request_method, self.url, version, b"".join(lines))

    def discard_request(self) -> None:
        """Count the request, whose answer has been written, as answered; the rest of its body is discarded."""
        self.cycle = _ANSWERED

    @property
    def may_still_refuse(self) -> bool:
        """Tell whether nothing has been said to the latest request, the only one that waits."""
        return self.waiting_requests == 1 and not self.cycle.response_started

    def abandon_request(self) -> None:
        """Let the latest request end as if the client had left."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def close_after_answer(self) -> None:
        """End the connection when the latest request has been answered."""
        self.cycle.keep_alive = False


def _parser(connection: HttpConnection) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does: such data is ignored
    return parser


class WatchedConnections(set[HttpConnection]):
    """A server's connections, in place of uvicorn's own set; calls `on_end` when one has ended."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._on_end = on_end

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self._on_end()


class Server(uvicorn.Server):
    """uvicorn's server. `startup`, `on_tick`, `shutdown`, `handle_exit` and `capture_signals` may be overridden."""

    @property
    def open_connections(self) -> set[HttpConnection]:
        return cast("set[HttpConnection]", self.server_state.connections)

    def watch_connections(self, on_end: Callable[[], None]) -> None:
        """Have `on_end` called whenever a connection has ended; to be called before there is any."""
        self.server_state.connections = cast("Any", WatchedConnections(on_end))

    def new_connection(self) -> asyncio.Protocol:
        """Make the protocol of a connection that was accepted elsewhere."""
        protocol: Callable[..., asyncio.Protocol] = cast("Any", self.config.http_protocol_class)
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def server_config(app: ASGIApp, connection: Callable[..., HttpConnection]) -> uvicorn.Config:
    """Configure a server whose connections are made by `connection`, and which leaves everything else to the service.

    That is: the lifespan, logging of start, stop and requests, WebSockets (there are none), and proxy headers.
    """
    return uvicorn.Config(
        app,
        http=cast("Any", connection),  # called like the class
        lifespan="off",
        ws="none",  # whatever is installed beside it
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def check_version(version: str) -> None:
    """Raise `ConfigError` unless this module was written for this version of uvicorn."""
    known = set(HttpToolsProtocol.__init__.__code__.co_names)
    missing = [
        *sorted(_ATTRIBUTES - known),
        *(name for name in _CALLBACKS if not hasattr(HttpToolsProtocol, name)),
        *(name for name in _SERVER_METHODS if not hasattr(uvicorn.Server, name)),
    ]
    if missing or version.rpartition(".")[0] != SERIES:
        raise ConfigError(
            f"This Whisker needs uvicorn {SERIES}, not {version}: install it with `pip install 'uvicorn=={SERIES}.*'`."
        )


check_version(uvicorn.__version__)
