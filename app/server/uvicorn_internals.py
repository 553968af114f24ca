"""uvicorn, and those of its internals that the service needs. No other module imports uvicorn.

uvicorn has no public hook for the head of a request, a refusal without a request, or the connections of a server.
These names are not promised to anybody. So they are used in this module alone, `pyproject.toml` bounds uvicorn's
version, and importing this module checks that the version is the expected one and that the names exist.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from whisker.app.time_limits import GRACEFUL_SECONDS, KEEP_ALIVE_SECONDS
from whisker.model.errors import ConfigError

SERIES = "0.54"
_ATTRIBUTES = {"app", "cycle", "headers", "parser", "scope", "server_state", "transport"}
_CALLBACKS = (
    "data_received",
    "on_headers_complete",
    "on_message_begin",
    "on_message_complete",
    "on_response_complete",
    "send_400_response",
)
_SERVER_METHODS = ("capture_signals", "handle_exit", "on_tick", "serve", "shutdown", "startup")
# Stands for a request that has been answered, while the rest of its body is discarded.
_ANSWERED: Any = SimpleNamespace(response_complete=True, disconnected=False, message_event=asyncio.Event())


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection, with names for what a subclass may ask and do.

    Its callbacks may be overridden: `data_received`, `on_message_begin`, `on_headers_complete`, `on_message_complete`,
    `on_response_complete` and `send_400_response`.
    """

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

    def discard_request(self) -> None:
        """Count the request, whose answer has been written, as answered; the rest of its body is discarded."""
        self.cycle = _ANSWERED

    def close_after_answer(self) -> None:
        """End the connection when the request has been answered."""
        self.cycle.keep_alive = False


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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
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
