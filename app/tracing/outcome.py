"""What became of a picture, told to the span of its request, if there is one. Needs no OpenTelemetry."""

from typing import Protocol

from starlette.types import Scope

from whisker.app.inference.requests import PredictionResult
from whisker.app.schemas import CheckpointId

SPAN = "whisker.span"  # where a request's scope has its span, if that is recorded


class OutcomeObserver(Protocol):
    """Who is told of each picture of a request."""

    def record(self, model: CheckpointId, outcome: PredictionResult | Exception) -> None: ...


def trace_outcome(scope: Scope, model: CheckpointId, outcome: PredictionResult | Exception) -> None:
    """Tell the span of a request what became of one of its pictures, and which model has answered."""
    span: OutcomeObserver | None = scope.get(SPAN)
    if span is not None:
        span.record(model, outcome)
