"""Tracing as a whole: opened where the settings ask for it, and closed when the service ends."""

import asyncio
import logging
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware import Middleware

from whisker import __version__
from whisker.app.settings import Settings
from whisker.model.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_FLUSH_SECONDS = 2.0  # at the end, for a collector that may be away
_UNNAMED = "unknown_service"  # what OpenTelemetry calls a service without a name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where the spans of an application go."""

    provider: "TracerProvider"

    @property
    def middleware(self) -> Middleware:
        """Make the application's outermost middleware."""
        from whisker.app.tracing.middleware import TracingMiddleware  # noqa: PLC0415 - needs OpenTelemetry

        return Middleware(TracingMiddleware, tracer=self.provider.get_tracer("whisker", __version__))

    async def close(self) -> None:
        """Hand over what is left, but do not wait long for a collector that is away."""
        closing = Thread(target=self.provider.shutdown, name="close-tracing", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _FLUSH_SECONDS)
        if closing.is_alive():
            logger.warning("The last traces could not be exported in time")


def open_tracing(settings: Settings) -> Tracing | None:
    """Open what the settings ask for; raise `ConfigError` if that cannot be, for instance without the extra."""
    if settings.tracing == "off":
        return None
    try:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

        from whisker.app.tracing.otlp import open_exporter  # noqa: PLC0415 - as above
    except ImportError as exc:
        raise ConfigError("WHISKER_TRACING needs an extra: `pip install 'whisker-vision[tracing]'`.") from exc
    return tracing_to(BatchSpanProcessor(open_exporter()))


def tracing_to(processor: "SpanProcessor") -> Tracing:
    """Trace to a processor, under the name and with the sampler that the variables `OTEL_*` choose."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above

    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: "whisker"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return Tracing(provider)


def set_tracing(app: FastAPI, tracing: Tracing | None) -> None:
    app.state.tracing = tracing


def tracing_of(app: FastAPI) -> Tracing | None:
    tracing: Tracing | None = app.state.tracing
    return tracing
