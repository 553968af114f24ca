"""Spans on their way to a collector, as OTLP over HTTP: in batches, from a thread, and never at an answer's expense."""

import logging
import os
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from whisker.model.errors import ConfigError

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")  # the first one counts
_SPOKEN = "http/protobuf"
_LIBRARY = logging.getLogger("opentelemetry.exporter.otlp")

logger = logging.getLogger(__name__)


class _FirstReason(logging.Handler):
    """Keep what the library says first, in place of its lines, of which it writes several for each batch."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = self.text or record.getMessage()


class SteadyExporter(SpanExporter):
    """Log once that the collector takes no spans, with the reason, and once that it does again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0  # spans, since the collector took the last ones
        self._reason = _FirstReason(logging.WARNING)
        _LIBRARY.handlers, _LIBRARY.propagate = [self._reason], False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._reason.text = ""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                logger.info("Traces are exported again", extra={"lost_spans": self._lost})
            self._lost = 0
            return result
        if not self._lost:
            logger.warning("Traces cannot be exported, and are lost", extra={"reason": self._reason.text})
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def open_exporter() -> SpanExporter:
    """Make the exporter that the variables `OTEL_*` describe; raise `ConfigError` for one that is not installed."""
    for name in _PROTOCOLS:
        protocol = os.environ.get(name, "").strip()
        if protocol and protocol != _SPOKEN:
            raise ConfigError(f"{name} is {protocol!r}, but must be {_SPOKEN}: traces go to a collector by HTTP.")
        if protocol:
            break
    return SteadyExporter(OTLPSpanExporter())
