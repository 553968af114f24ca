"""The access log: a measurement of each request, and a log line if it failed or all are logged."""

import logging
import time
from urllib.parse import quote

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.metrics import Metrics
from whisker.app.web.problems import CODE

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_OTHER = "other"  # a path or method that a client made up must not become a label
_FIRST_FAILURE = 400
_PATH_LETTERS = 200  # that a line tells of a path
_FAILED = 500  # the answer's status if there was none

logger = logging.getLogger(__name__)


class AccessMiddleware:
    """Measure each request when its answer has been sent; log it if it failed, or always."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log_all: bool) -> None:
        self.app = app
        self._metrics = metrics
        self._log_all = log_all
        self._histograms: dict[tuple[str, str, int], Histogram] = {}

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
        self._histogram(method, getattr(scope.get("route"), "path", _OTHER), status).observe(seconds)
        if status >= _FIRST_FAILURE or self._log_all:
            logger.info(
                "request",
                extra={
                    "method": method,
                    "path": quote(scope["path"][:_PATH_LETTERS]),  # decoded, it may hold line breaks
                    "status": status,
                    **({"code": scope[CODE]} if CODE in scope else {}),
                    "duration_ms": round(seconds * 1000, 2),
                },
            )

    def _histogram(self, method: str, route: str, status: int) -> Histogram:
        """Keep the result of `labels`: looking it up costs as much as counting."""
        labels = (method if method in _METHODS else _OTHER, route, status)
        if labels not in self._histograms:
            self._histograms[labels] = self._metrics.requests.labels(*labels)
        return self._histograms[labels]
