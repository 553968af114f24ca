"""The server of the page, in threads of its own: it may be slow, hang or fail without the training noticing."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from whisker.model.errors import ConfigError, WhiskerError
from whisker.model.plain_text import printable
from whisker.training.watch.address import Address
from whisker.training.watch.handler import WatchHandler
from whisker.training.watch.page import REFRESH_SECONDS
from whisker.training.watch.state import Watched

_MAX_CONNECTIONS = 24  # at a time; more are closed at once
_REQUEST_SECONDS = 10.0  # for a request to arrive whole
_SEEN_SECONDS = 15.0  # since its last request, a browser is taken to be there still
_LINGER_SECONDS = 15.0  # at the end, at most, for browsers to get the report
_FAREWELL_SECONDS = 3.0  # at the end, at most, for browsers to learn that there is no report
_POLL_SECONDS = 0.1
_PLAIN_SECONDS = REFRESH_SECONDS + 1.5  # in which a page without scripts asks again


class WatchServer(ThreadingHTTPServer):
    """Serves the page of one training; a context in which it runs."""

    daemon_threads = True  # the process does not wait for browsers
    block_on_close = False
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, address: Address, watched: Watched) -> None:
        """Take the port; raise `ConfigError` if that is impossible."""
        self.address, self.watched = address, watched
        self.address_family = address.family
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._arriving = dict[socket.socket, float]()  # connections whose request is not there yet, and their deadlines
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._open = 0
        self._last_seen = self._last_plain = float("-inf")
        self._reported = threading.Event()
        try:
            super().__init__((address.host, address.port), WatchHandler)
        except OSError as exc:
            raise ConfigError(
                f"The training cannot be watched at {address.host}:{address.port} ({exc.strerror or exc}): give "
                "--watch another port, or 0 for any that is free."
            ) from exc
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, name="watch", daemon=True
        )

    @property
    def url(self) -> str:
        """Give the address for a browser."""
        return self.address.url(self.server_port)

    @property
    def readers(self) -> int:
        """Count the connections that are open."""
        return self._open

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End, as soon as browsers that are there have the report, or have learned that there is none."""
        with contextlib.suppress(KeyboardInterrupt):  # whoever is tired of waiting
            self._linger()
        self.closing.set()
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Bind as TCP servers do; an HTTP server would look up its own name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.address.host, self.server_address[1]

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Answer in a thread, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._open += 1
            self._arriving[request] = time.monotonic() + _REQUEST_SECONDS
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._forget(request)
            raise

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Answer, and close the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def serve_request(self, handler: BaseHTTPRequestHandler) -> None:
        """Take note that a request has arrived whole."""
        with self._lock:
            self._arriving.pop(handler.connection, None)
            self._last_seen = time.monotonic()
            if handler.path == "/":
                self._last_plain = self._last_seen
            elif handler.path == "/events":  # the page has scripts
                self._last_plain = float("-inf")

    def report_served(self) -> None:
        """Take note that a browser has the report."""
        self._reported.set()

    def service_actions(self) -> None:
        """Close connections whose request has not arrived in time; called every moment."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, deadline in self._arriving.items() if deadline < now]
        for connection in late:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about browsers that go away or hang."""

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._open -= 1
            self._arriving.pop(request, None)
        self._free.release()

    def _linger(self) -> None:
        is_there = self.readers > 0 or time.monotonic() - self._last_seen < _SEEN_SECONDS
        finished = self.watched.snapshot().finished is not None
        if is_there and finished:
            self._reported.wait(_LINGER_SECONDS)
        patience = time.monotonic() + (_LINGER_SECONDS if finished else _FAREWELL_SECONDS)
        while time.monotonic() < min(patience, self._last_plain + _PLAIN_SECONDS):
            time.sleep(_POLL_SECONDS)
        while self.readers and time.monotonic() < patience:
            time.sleep(_POLL_SECONDS)


@contextmanager
def watching(address: Address, name: str) -> Iterator[WatchServer]:
    """Serve the page while the block runs, and a little longer; raise `ConfigError` if the port cannot be had."""
    server = WatchServer(address, Watched(name))
    server.start()
    error = "The training ended with an error: see its terminal."
    try:
        yield server
        error = ""
    except WhiskerError as exc:
        error = printable(str(exc))
        raise
    except KeyboardInterrupt:
        error = "The training was stopped."
        raise
    finally:
        server.watched.end(error)
        server.stop()
