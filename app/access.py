"""One log line and one measurement for each request."""

import logging
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_OTHER = "other"  # a path or method that a client made up must not become a label
_FAILED = 500  # the answer's status if there was none

logger = logging.getLogger(__name__)


class AccessMiddleware:
    """Record each request's method, path, status and duration, when its answer is sent."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = _FAILED

        async def send_noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noticed)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"]
        route = getattr(scope.get("route"), "path", _OTHER)
        self._metrics.requests.labels(method if method in _METHODS else _OTHER, route, status).observe(seconds)
        logger.info(
            "request",
            extra={
                "method": method,
                "path": quote(scope["path"]),  # decoded, it may hold line breaks
                "status": status,
                "duration_ms": round(seconds * 1000, 2),
            },
        )
