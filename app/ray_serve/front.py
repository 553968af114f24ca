"""The service's defences in Ray's HTTP proxies, which have none: they would hold any upload, of any size, for as long.

Ray makes a proxy's `middlewares` if each node has them in its environment, as `VARIABLE`.
"""

import logging
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import ServiceError
from whisker.app.logs import configure_logging, request_context
from whisker.app.metrics import Metrics
from whisker.app.ray_serve.relay import Relay
from whisker.app.settings import Settings, chosen_origins, load_settings
from whisker.app.uploads.body_limits import BodyLimitMiddleware
from whisker.app.web.access_log import AccessMiddleware
from whisker.app.web.cors import CorsMiddleware, CorsOrigins
from whisker.app.web.problems import ProblemMiddleware
from whisker.app.web.request_id import HEADER, choose_request_id
from whisker.app.web.security import SecurityHeadersMiddleware

VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PATH = "whisker.app.ray_serve.front:middlewares"
_OF_RAY = "/-/"  # where a proxy tells of its own health and routes
_ID = HEADER.lower().encode()
# By these a client would tell Ray how long to wait for an answer, and to finish it even if nobody wants it any more.
_FOR_RAY = (b"x-request-timeout-seconds", b"x-request-disconnect-disabled")


def middlewares() -> list[Middleware]:
    """Make the proxy's middlewares, by the settings of its environment; raise `ConfigError`."""
    settings = load_settings(listens=False)
    if not logging.getLogger().hasHandlers():
        configure_logging(settings)
    return [Middleware(Front, settings=settings)]


def is_chosen(variables: Mapping[str, str]) -> bool:
    """Tell whether a node's proxy has this module's middlewares."""
    return variables.get(VARIABLE, "").replace(":", ".") == PATH.replace(":", ".")


class Front:
    """Receive uploads within the service's limits, relay them when they are complete, and refuse in its words."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._proxy = app
        self._service = BodyLimitMiddleware(
            Relay(app, seconds=settings.deadline_seconds),
            max_bytes=settings.max_body_bytes,
            max_held_bytes=settings.max_held_bytes,
            max_seconds=settings.receive_seconds,
        )
        self._metrics = Metrics()
        self._origins = CorsOrigins(chosen_origins(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OF_RAY):
            await self._proxy(scope, receive, send)
            return
        request_id = choose_request_id(scope["headers"])
        headers = [(name, value) for name, value in scope["headers"] if name != _ID and name not in _FOR_RAY]
        scope = {**scope, "headers": [*headers, (_ID, request_id.encode())]}

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id  # Ray has added one to the service's
            await send(message)

        with request_context(request_id, {}):
            try:
                await self._service(scope, receive, send_named)
            except ServiceError as exc:
                await self._refuse(exc)(scope, receive, send_named)

    def _refuse(self, exc: ServiceError) -> ASGIApp:
        async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
            raise exc

        problem = ProblemMiddleware(fail, metrics=self._metrics)
        told = SecurityHeadersMiddleware(CorsMiddleware(problem, origins=self._origins))
        return AccessMiddleware(told, metrics=self._metrics, log_all=False)
