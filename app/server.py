"""The process: a socket, uvicorn, signals, and an end without a traceback."""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.logs import configure_logging
from app.main import create_app
from app.settings import Settings, complain_of_unknown
from model.errors import ConfigError

_WILDCARDS = ("0.0.0.0", "::")

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Ends with exit code 0 when asked to stop; uvicorn would raise the signal again."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # `run` has done so already, for the time of loading too


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what is in flight.

    Raises `ConfigError` if the address cannot be listened on, and what loading the classifier raises.
    """
    configure_logging(settings)
    for complaint in complain_of_unknown(os.environ):
        logger.warning(complaint)
    listener = bind(settings.host, settings.port)
    app = create_app(settings)
    server = _Server(_config(app))
    previous = {name: signal.signal(name, server.handle_exit) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        with listener, asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(app, server, listener))
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address; from now on clients wait while the classifier loads, instead of being refused.

    Raises `ConfigError` with a sentence that says which setting to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as exc:  # the latter for a host that cannot be a name
        raise ConfigError(_refusal(exc, host, port)) from exc
    return listener


async def _serve(app: FastAPI, server: uvicorn.Server, listener: socket.socket) -> None:
    # The lifespan runs here and not in uvicorn, which would print a traceback of a checkpoint that cannot be used.
    async with app.router.lifespan_context(app):
        host, port = listener.getsockname()[:2]
        shown = "localhost" if host in _WILDCARDS else host
        logger.info("Serving", extra={"address": f"{host}:{port}", "open": f"http://{shown}:{port}/docs"})
        await server.serve(sockets=[listener])
    logger.info("Stopped")


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        log_level="warning",  # start, stop and requests are logged by the service itself
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=25,
        h11_max_incomplete_event_size=16_384,
    )


def _refusal(exc: OSError | UnicodeError, host: str, port: int) -> str:
    if isinstance(exc, UnicodeError | socket.gaierror) or exc.errno == errno.EADDRNOTAVAIL:
        return f"{host!r} is not an address of this machine: choose another with WHISKER_HOST or --host."
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken: stop the program that listens on it, or choose another with WHISKER_PORT or --port."
        )
    reason = exc.strerror or "the system refuses"
    return f"Port {port} of {host} cannot be listened on ({reason}): choose another with WHISKER_PORT or --port."
