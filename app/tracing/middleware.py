"""A span for each request."""

from opentelemetry.trace import Tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.tracing.outcome import SPAN
from whisker.app.tracing.request_span import RequestSpan
from whisker.app.web.security import HEALTH
from whisker.app.web.trace_context import TRACE

_UNTRACED = frozenset({*HEALTH, "/metrics"})  # asked every few seconds, by machines
_FAILED = 500  # the answer's status if there was none


class TracingMiddleware:
    """Trace each request but probes; outermost, so that log lines and the answer can name the span."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self.app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self.app(scope, receive, send)
            return
        span = RequestSpan(self._tracer, scope)
        scope[TRACE] = span.trace
        if not span.is_recording:
            await self.app(scope, receive, send)
            return
        scope[SPAN] = span
        status = _FAILED

        async def send_noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, span.receiving(receive), send_noticed)
        finally:
            span.end(scope, status)
