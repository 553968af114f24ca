"""The span of a request, by the semantic conventions for HTTP servers, and the spans of what happens within it.

Pictures are decoded and answered in other processes, which know nothing of traces. How long each stage took comes back
with the answer, so their spans are made here, afterwards.
"""

import time
from http import HTTPMethod

from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes
from starlette.types import Message, Receive, Scope

from whisker.app.inference.requests import PredictionResult
from whisker.app.schemas import CheckpointId
from whisker.app.web.problems import CODE, kind_of
from whisker.app.web.trace_context import Trace, find_trace

MODEL_NAME, MODEL_VERSION = "whisker.model.name", "whisker.model.version"
PICTURE, PICTURES, VERDICT = "whisker.picture", "whisker.pictures", "whisker.verdict"
PROBLEM = "whisker.problem.code"
_METHODS = frozenset(HTTPMethod)
_OTHER = "_OTHER"  # the conventions' word for methods that clients make up
_FIRST_FAILURE = 500  # the conventions blame the client for what is below
_SECOND = 1_000_000_000  # in nanoseconds


class RequestSpan:
    """Follow one request, from its head to the end of its answer."""

    def __init__(self, tracer: Tracer, scope: Scope) -> None:
        """Start the span, as a child of the caller's if the request names that."""
        self._tracer = tracer
        self._offset = time.time_ns() - time.perf_counter_ns()  # one clock for all, that nobody sets back meanwhile
        self._started = self._now()
        self._receiving_since = 0  # when the first bytes of a body were waited for
        self._has_body = self._has_received = False
        self._pictures = 0
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        self._method = "HTTP" if method == _OTHER else method
        caller = find_trace(scope["headers"])
        self._span = tracer.start_span(
            self._method,
            _context_of(caller),
            SpanKind.SERVER,
            {
                HTTP_REQUEST_METHOD: method,
                URL_SCHEME: scope["scheme"],
                NETWORK_PROTOCOL_VERSION: scope["http_version"],
            },
            start_time=self._started,
        )
        self.trace = _trace_of(self._span.get_span_context(), caller)
        self.is_recording = self._span.is_recording()
        self._within = set_span_in_context(self._span, Context())

    def receiving(self, receive: Receive) -> Receive:
        """Notice when the first bytes of a body are waited for, and when it is complete."""

        async def receive_noticed() -> Message:
            self._receiving_since = self._receiving_since or self._now()
            message = await receive()
            if message["type"] == "http.request" and not self._has_received:
                self._has_received = not message.get("more_body", False)
                self._has_body |= bool(message.get("body")) or not self._has_received
                if self._has_received and self._has_body:
                    self._add_receiving()
            return message

        return receive_noticed

    def record(self, model: CheckpointId, outcome: PredictionResult | Exception) -> None:
        """Add a span for a picture, with one for each of its stages; of a picture that was refused, the reason."""
        self._span.set_attributes({MODEL_NAME: model.name, MODEL_VERSION: model.version})
        number, self._pictures = self._pictures, self._pictures + 1
        if isinstance(outcome, Exception):
            self._span.add_event("picture refused", {PICTURE: number, PROBLEM: kind_of(outcome).code})
            return
        stages = {
            "queue": outcome.queue_seconds,
            "decode": outcome.decode_seconds,
            "inference": outcome.inference_seconds,
        }
        ended = self._now()
        began = max(self._started, ended - sum(map(_nanoseconds, stages.values())))
        attributes = {PICTURE: number, VERDICT: outcome.prediction["verdict"]}
        picture = self._tracer.start_span("predict", self._within, attributes=attributes, start_time=began)
        within, since = set_span_in_context(picture, Context()), began
        for stage, seconds in stages.items():
            until = min(ended, since + _nanoseconds(seconds))
            self._tracer.start_span(stage, within, start_time=since).end(until)
            since = until
        picture.end(ended)

    def end(self, scope: Scope, status: int) -> None:
        """End the span, with the route and the outcome."""
        if self._receiving_since and not self._has_received:
            self._add_receiving({ERROR_TYPE: scope.get(CODE, str(status))})
        route: str | None = getattr(scope.get("route"), "path", None)
        if route is not None:  # a path that leads nowhere may hold anything, and a part that varies may, too
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attributes({HTTP_ROUTE: route, URL_PATH: route})
        if CODE in scope:
            self._span.set_attribute(PROBLEM, scope[CODE])
        if self._pictures:
            self._span.set_attribute(PICTURES, self._pictures)
        self._span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if status >= _FIRST_FAILURE:
            self._span.set_attribute(ERROR_TYPE, scope.get(CODE, str(status)))
            self._span.set_status(StatusCode.ERROR)
        self._span.end(self._now())

    def _add_receiving(self, attributes: Attributes = None) -> None:
        since = self._receiving_since
        self._tracer.start_span("receive", self._within, attributes=attributes, start_time=since).end(self._now())

    def _now(self) -> int:
        return self._offset + time.perf_counter_ns()


def _context_of(caller: Trace) -> Context:
    if "parent_id" not in caller.fields:
        return Context()
    trace, span = (int(caller.fields[name], 16) for name in ("trace_id", "parent_id"))
    flags = TraceFlags(TraceFlags.SAMPLED if caller.is_sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(trace, span, is_remote=True, trace_flags=flags)), Context())


def _trace_of(context: SpanContext, caller: Trace) -> Trace:
    """Say what log lines and the answer tell of a span; of none, what they tell without tracing."""
    if not context.is_valid:
        return caller
    trace, span = format_trace_id(context.trace_id), format_span_id(context.span_id)
    parent = {"parent_id": caller.fields["parent_id"]} if "parent_id" in caller.fields else {}
    sampled = context.trace_flags.sampled
    return Trace({"trace_id": trace, "span_id": span, **parent}, f"00-{trace}-{span}-{sampled:02x}", is_sampled=sampled)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _SECOND)
