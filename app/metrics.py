"""The metrics at `/metrics`: one registry per application, so that one process can have two.

With several workers each keeps its values in files of one directory, by prometheus_client's convention named in
`PROMETHEUS_MULTIPROC_DIR`, and whichever worker is asked adds them all up.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, values
from prometheus_client import generate_latest as render
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from whisker import __version__
from whisker.model.errors import ConfigError

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_IN_MEMORY = "/dev/shm"  # noqa: S108 - there even where the root is read-only; the directory's name is random
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The service's instruments. Every label has few values: routes, stages, codes, and the checkpoint's classes."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._reported = _reported(registry)
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
            "Pictures in a batch.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.in_flight = Gauge(
            "whisker_in_flight", "Uploads being answered.", registry=registry, multiprocess_mode="livesum"
        )
        self.receiving = Gauge(
            "whisker_receiving", "Uploads that are not complete yet.", registry=registry, multiprocess_mode="livesum"
        )
        self.inference_workers = Gauge(
            "whisker_inference_workers",
            "Inference workers that are ready.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.wanted_inference_workers = Gauge(
            "whisker_inference_workers_wanted",
            "Inference workers that should be ready.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.ended_inference_workers = Counter(
            "whisker_inference_workers_ended_total",
            "Inference workers that have ended while they were needed.",
            registry=registry,
        )
        self.queue_depth = Gauge(
            "whisker_queue_depth",
            "Uploads waiting for an inference worker.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.problems = Counter(
            "whisker_problems_total",
            "Requests and pictures that were not answered, by code.",
            ("code",),
            registry=registry,
        )
        self.dropped_lines = Counter(
            "whisker_log_lines_dropped_total", "Log lines that could not be written.", registry=registry
        )
        self.scores = Histogram(
            "whisker_score",
            "Calibrated scores of the best class.",
            buckets=_SCORES,
            registry=registry,
        )
        self.predictions = Counter(
            "whisker_predictions_total",
            "Answers given, by model, and by best class or, of a multi-label checkpoint, by each label found.",
            ("model", "label"),
            registry=registry,
        )
        self.verdicts = Counter(
            "whisker_verdicts_total", "Answers given, by model and verdict.", ("model", "verdict"), registry=registry
        )
        self.drift = Gauge(
            "whisker_drift",
            "Stability index of the latest answers against the checkpoint's profile: 0.1 is noteworthy, 0.25 is much.",
            ("model", "of"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.swaps = Counter(
            "whisker_model_swaps_total",
            "Versions that were to take over, by model: served, or failed.",
            ("model", "outcome"),
            registry=registry,
        )
        self.models_loaded = Gauge(
            "whisker_models_loaded",
            "Versions of models that are ready to answer.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.model_bytes = Gauge(
            "whisker_model_bytes",
            "Memory of all loaded models in all inference workers, as far as the system tells.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.canary_answers = Counter(
            "whisker_canary_answers_total",
            "Answers while a canary runs, by model, track (serving or canary) and outcome (answered or refused).",
            ("model", "track", "outcome"),
            registry=registry,
        )
        self.canary_stops = Counter(
            "whisker_canary_stops_total",
            "Canaries that were stopped for what they answered.",
            ("model",),
            registry=registry,
        )
        self.shadow_answers = Counter(
            "whisker_shadow_answers_total",
            "Answers that a shadow gave, too, by model, and whether it gave the same (yes or no).",
            ("model", "agrees"),
            registry=registry,
        )
        self.review_kept = Counter("whisker_review_kept_total", "Uploads that were kept for review.", registry=registry)
        self.review_skipped = Counter(
            "whisker_review_skipped_total",
            "Uploads that were answered, but not kept for review, by reason.",
            ("reason",),
            registry=registry,
        )
        self._model = Gauge(
            "whisker_model_info",
            "The checkpoint being served.",
            ("name", "version", "device"),
            registry=registry,
            multiprocess_mode="livemax",  # two lines while workers serve different files
        )
        Gauge(
            "whisker_build_info",
            "The Whisker that serves it.",
            ("version",),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version=__version__).set(1)

    def describe_model(self, *, name: str, version: str, device: str) -> None:
        """Report a version being served."""
        self._model.labels(name=name, version=version, device=device).set(1)

    def forget_model(self, *, name: str, version: str, device: str) -> None:
        """Report a version no longer; files that processes share keep a line, which is 0."""
        self._model.labels(name=name, version=version, device=device).set(0)
        if _DIRECTORY not in os.environ:
            self._model.remove(name, version, device)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format, added up over all HTTP workers."""
        return render(self._reported)


@contextmanager
def shared_metrics() -> Iterator[None]:
    """Let the processes started in this context share their metrics."""
    with _temporary_directory() as os.environ[_DIRECTORY]:
        try:
            yield
        finally:
            del os.environ[_DIRECTORY]


def _temporary_directory() -> TemporaryDirectory[str]:
    reason: OSError | None = None
    for parent in (None, _IN_MEMORY):
        try:
            return TemporaryDirectory(prefix="whisker-metrics-", dir=parent, ignore_cleanup_errors=True)
        except OSError as exc:
            reason = exc
    raise ConfigError(
        "Several workers share their metrics in a temporary directory, and none can be made: "
        "name a folder that can be written to with TMPDIR, or serve with one worker."
    ) from reason


def share_metrics(name: str) -> None:
    """Keep the metrics of this process, from now on, in the files of earlier processes of that name.

    Going on in the same files keeps what the dead have counted without their number growing.
    """
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def forget_gauges(name: str) -> None:
    """Drop the gauges of an ended process of that name, but keep its counters."""
    mark_process_dead(name)  # type: ignore[no-untyped-call]


def count_restarts() -> Counter:
    """Make the supervisor's own counter."""
    share_metrics("supervisor")
    return Counter("whisker_worker_restarts_total", "Workers started in place of one that died.", registry=None)


def _reported(registry: CollectorRegistry) -> CollectorRegistry:
    """Choose what a scrape collects: the instruments of this process, or the files of all processes."""
    if _DIRECTORY in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        ProcessCollector(registry=registry)  # of one worker among several, its values would jump from scrape to scrape
    PlatformCollector(registry=registry)
    return registry
