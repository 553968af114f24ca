"""What `/metrics` reports: one registry an application, so that two can live in one process."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as render

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The service's instruments. Every label's values are few: routes, stages, codes, and the checkpoint's classes."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Histogram(
            "whisker_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            ("method", "route", "status"),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self.stages = Histogram(
            "whisker_stage_duration_seconds",
            "A picture's time in a stage: decode, queue or inference.",
            ("stage",),
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.batches = Histogram(
            "whisker_batch_size",
            "Pictures that the network answered for at once.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.in_flight = Gauge("whisker_in_flight", "Uploads being answered.", registry=registry)
        self._queue_depth = Gauge("whisker_queue_depth", "Decoded pictures waiting.", registry=registry)
        self.shed = Counter("whisker_shed_total", "Uploads given up, by reason.", ("reason",), registry=registry)
        self.decode_failures = Counter(
            "whisker_decode_failures_total", "Pictures that could not be used, by code.", ("code",), registry=registry
        )
        self.predictions = Counter(
            "whisker_predictions_total", "Answers given, by best class.", ("label",), registry=registry
        )
        self.verdicts = Counter("whisker_verdicts_total", "Answers given, by verdict.", ("verdict",), registry=registry)
        self._model = Info("whisker_model", "The checkpoint being served.", registry=registry)

    def describe_model(self, *, name: str, version: str, device: str) -> None:
        """Report the checkpoint being served."""
        self._model.info({"name": name, "version": version, "device": device})

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Read the queue's depth with `depth` whenever metrics are collected."""
        self._queue_depth.set_function(depth)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return render(self._registry)
