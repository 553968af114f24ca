"""The service as a whole: its log, its socket, and one process or several behind it. Imports nothing slow."""

import errno
import gc
import logging
import os
import socket
from collections.abc import Iterable

from whisker import __version__
from whisker.app.inference.begun import begun_workers
from whisker.app.logs import configure_logging, flush_log
from whisker.app.server.stop_signals import end_at_once, handled, stop_signals
from whisker.app.server.supervisor import Supervisor, count_workers
from whisker.app.setting_warnings import name_warnings
from whisker.app.settings import Settings
from whisker.model.errors import ConfigError

_SEND_BYTES, _RECEIVE_BYTES = 128_000, 512_000  # that the system buffers of a connection; Linux takes twice as much
_WAITING_CONNECTIONS = 2_048  # that have not been accepted; the system may allow fewer
_WILDCARDS = ("0.0.0.0", "::")

logger = logging.getLogger(__name__)


def run(settings: Settings, flags: Iterable[str] = ()) -> None:
    """Serve until SIGTERM, SIGHUP or Ctrl-C, then finish the requests in flight.

    `flags` are the names of the settings given on the command line. Raises `ConfigError` if the address cannot be
    listened on, the errors of loading the classifier, and `WorkerError`.
    """
    with handled(stop_signals(), end_at_once):
        configure_logging(settings)
        for warning in name_warnings(os.environ, flags):
            logger.warning(warning)
        try:
            _serve(settings, count_workers(settings))
            logger.info("Stopped")
        finally:
            flush_log()
        gc.freeze()  # the interpreter's end would search all modules for garbage, several times


def _serve(settings: Settings, workers: int) -> None:
    with bind(settings.host, settings.port) as listener:
        if workers > 1:
            Supervisor(settings, listener, workers).run(on_ready=lambda: _announce(listener))
        else:
            with begun_workers(settings) as begun:
                from whisker.app.server.process import serve  # noqa: PLC0415 - FastAPI takes a second to import

                serve(settings, listener, on_ready=lambda: _announce(listener), begun=begun)


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address; from now on clients are not refused, but wait until the classifier is loaded.

    Raises `ConfigError` with a sentence that says which setting to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Connections inherit these. The system would let each one that does not read or write have megabytes.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            listener.bind(address)
            listener.listen(_WAITING_CONNECTIONS)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as exc:  # the latter if the host is not a valid name
        raise ConfigError(_refusal(exc, host, port)) from exc
    return listener


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = "localhost" if host in _WILDCARDS else host
    said = {"address": f"{host}:{port}", "open": f"http://{shown}:{port}/", "whisker_version": __version__}
    logger.info("Serving", extra=said)


def _refusal(exc: OSError | UnicodeError, host: str, port: int) -> str:
    if isinstance(exc, UnicodeError | socket.gaierror) or exc.errno == errno.EADDRNOTAVAIL:
        return f"{host!r} is not an address of this machine: choose another with WHISKER_HOST or --host."
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken: stop the program that listens on it, or choose another with WHISKER_PORT or --port."
        )
    reason = exc.strerror or "the system refuses"
    return f"Port {port} of {host} cannot be listened on ({reason}): choose another with WHISKER_PORT or --port."
