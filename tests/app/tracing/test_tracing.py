"""Traces of a real application: whose they are, what they hold, and that nothing waits for a collector."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.app.conftest import connected, picture
from whisker.app.logs import JsonFormatter
from whisker.app.main import create_app
from whisker.app.settings import Settings, load_settings
from whisker.app.tracing.tracing import open_tracing, tracing_of, tracing_to
from whisker.model.errors import ConfigError

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk: pip install 'whisker-vision[tracing]'")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

pytestmark = pytest.mark.anyio
_HINT = "its exporter is not installed: pip install 'whisker-vision[tracing]'"
_TRACE, _PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_SAMPLED = {"traceparent": f"00-{_TRACE}-{_PARENT}-01"}


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
async def traced(settings: Settings, exporter: InMemorySpanExporter) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application with its spans in memory."""
    app = create_app(settings, tracing=tracing_to(SimpleSpanProcessor(exporter)))
    async with app.router.lifespan_context(app), connected(app) as client:
        yield client
    assert exporter.export(()) is SpanExportResult.FAILURE  # it was closed with the service


@pytest.fixture
def client(traced: httpx.AsyncClient, exporter: InMemorySpanExporter) -> httpx.AsyncClient:
    exporter.clear()
    return traced


def spans_of(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    """Give the finished spans by name, after checking that each lies within its parent."""
    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans if span.context is not None}
    named: dict[str, list[ReadableSpan]] = {}
    for span in spans:
        named.setdefault(span.name, []).append(span)
        parent = by_id.get(span.parent.span_id) if span.parent is not None else None
        if parent is not None:
            assert None not in (parent.start_time, span.start_time, span.end_time, parent.end_time)
            assert parent.start_time <= span.start_time <= span.end_time <= parent.end_time, span.name  # type: ignore[operator]  # as just said
    return named


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


async def test_request_is_a_child_of_the_callers_span_and_has_its_stages(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    files = {"file": ("secret-name.png", picture(), "image/png")}
    response = await client.post("/predict?top_k=2", files=files, headers=_SAMPLED)
    answer = response.json()
    spans = spans_of(exporter)
    assert {name: len(found) for name, found in spans.items()} == dict.fromkeys(
        ("POST /predict", "receive", "predict", "queue", "decode", "inference"), 1
    )
    server, predict = spans["POST /predict"][0], spans["predict"][0]
    assert server.kind is SpanKind.SERVER
    assert parent_of(server) == _PARENT
    assert parent_of(predict) == parent_of(spans["receive"][0]) == id_of(server)
    assert response.headers["traceresponse"] == f"00-{_TRACE}-{id_of(server)}-01"
    for stage in ("queue", "decode", "inference"):
        (span,) = spans[stage]
        assert parent_of(span) == id_of(predict)
        assert span.start_time is not None
        assert span.end_time is not None
        took = (span.end_time - span.start_time) / 1e6
        assert took == pytest.approx(answer["timing_ms"][stage], abs=0.01)  # as measured, in whole 0.01 ms
    assert dict(server.attributes or {}) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "url.path": "/predict",
        "network.protocol.version": "1.1",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "whisker.model.name": "tiny",
        "whisker.model.version": answer["model"]["version"],
        "whisker.pictures": 1,
    }
    assert dict(predict.attributes or {}) == {"whisker.picture": 0, "whisker.verdict": answer["verdict"]}
    everything = "".join(span.to_json() for found in spans.values() for span in found)
    assert not [word for word in ("secret-name", "top_k", "127.0.0.1") if word in everything]
    assert (server.resource.attributes["service.name"], server.status.status_code) == ("whisker", StatusCode.UNSET)


@pytest.mark.parametrize("headers", [{}, {"traceparent": f"00-{_TRACE}-{_PARENT}-00"}], ids=["none", "unsampled"])
async def test_callers_decision_is_respected(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "whisker.app.web.access_log")
    caplog.handler.setFormatter(JsonFormatter())
    response = await client.get("/nothing/at/secret-name", headers=headers)
    line = json.loads(caplog.text.splitlines()[-1])
    spans = spans_of(exporter)
    if headers:
        assert spans == {}
        assert (line["trace_id"], line["parent_id"]) == (_TRACE, _PARENT)
        assert response.headers["traceresponse"] == f"00-{_TRACE}-{line['span_id']}-00"
    else:
        ((server,),) = spans.values()
        assert (server.name, server.parent, id_of(server)) == ("GET", None, line["span_id"])
        assert response.headers["traceresponse"] == f"00-{line['trace_id']}-{line['span_id']}-01"
        assert "url.path" not in (server.attributes or {})


async def test_errors_have_their_codes(client: httpx.AsyncClient, exporter: InMemorySpanExporter) -> None:
    files = [("file", picture()), ("file", b"no picture"), ("file", picture(colour="red"))]
    await client.post("/predict/batch", files=files)
    await client.post("/predict", content=b"no picture", headers={"Content-Type": "image/png"})
    await client.get("/livez")  # probes make no spans
    spans = spans_of(exporter)
    assert [it.attributes["whisker.picture"] for it in spans["predict"] if it.attributes] == [0, 2]
    (batch,), (single,) = spans["POST /predict/batch"], spans["POST /predict"]
    assert {**(batch.attributes or {})}["whisker.pictures"] == 3
    assert [{**(event.attributes or {})} for event in batch.events] == [
        {"whisker.picture": 1, "whisker.problem.code": "unsupported_picture_format"}
    ]
    assert {**(single.attributes or {})}["whisker.problem.code"] == "unsupported_picture_format"
    assert "error.type" not in (single.attributes or {})  # it is the client's
    assert {name for name in spans if name.startswith("GET")} == set()


async def test_failure_of_the_service_is_an_error(settings: Settings, exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    app = create_app(settings, tracing=tracing_to(SimpleSpanProcessor(exporter)))  # and nothing is loaded
    async with connected(app) as client:
        await client.post("/predict", content=picture(), headers={"Content-Type": "image/png"})
    ((server,),) = spans_of(exporter).values()
    assert server.status.status_code is StatusCode.ERROR
    assert {**(server.attributes or {})}["error.type"] == "not_ready"


class _Collector(BaseHTTPRequestHandler):
    received: list[bytes]
    has_received: Event
    may_answer: Event
    status = 200

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.has_received.set()
        self.may_answer.wait(10)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Collector]]:
    """Run a collector, which answers once it may."""
    kind: type[_Collector] = type(
        "_Fresh", (_Collector,), {"received": [], "has_received": Event(), "may_answer": Event()}
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")  # so that the first span is sent at once
        Thread(target=server.serve_forever, daemon=True).start()
        yield kind
        kind.may_answer.set()
        server.shutdown()


async def test_answers_do_not_wait_for_a_collector_which_gets_all_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason=_HINT)
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    with collector(monkeypatch) as kind:
        app = create_app(settings.model_copy(update={"tracing": "otlp"}))
        async with connected(app) as client:
            await client.get("/docs/errors")
            assert await asyncio.to_thread(kind.has_received.wait, 10)  # the collector keeps its sender waiting
            assert (await client.get("/model")).status_code == 503
        tracing = tracing_of(app)
        assert tracing is not None
        kind.may_answer.set()
        await tracing.close()
        sent = [span for body in kind.received for span in _spans(ExportTraceServiceRequest.FromString(body))]
    assert sorted(span.name for span in sent) == ["GET /docs/errors", "GET /model"]


def _spans(request: Any) -> Iterator[Any]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


async def test_collector_that_is_away_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason=_HINT)
    caplog.set_level(logging.INFO)
    with collector(monkeypatch) as kind:
        kind.status = 400  # which is not tried again
        kind.may_answer.set()
        tracing = open_tracing(load_settings(tracing="otlp"))
        assert tracing is not None
        tracer = tracing.provider.get_tracer("test")
        for status in (400, 400, 200):
            kind.status = status
            tracer.start_span("one").end()
            tracing.provider.force_flush()
        await tracing.close()
    said = [(record.getMessage(), vars(record).get("lost_spans")) for record in caplog.records]
    assert said == [("Traces cannot be exported, and are lost", None), ("Traces are exported again", 2)]


def test_tracing_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_tracing(load_settings()) is None
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
        patch.delitem(sys.modules, "whisker.app.tracing.otlp", raising=False)
        with pytest.raises(ConfigError, match=r"pip install 'whisker-vision\[tracing\]'"):
            create_app(load_settings(tracing="otlp"))
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason=_HINT)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', but must be http/protobuf"):
        create_app(load_settings(tracing="otlp"))
