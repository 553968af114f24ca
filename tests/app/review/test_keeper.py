"""Which answered uploads are queued for a second look, before any folder is asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.metrics import Metrics
from whisker.app.review.keeper import Keeper
from whisker.app.review.store import ReviewStore

SERVICE = cast("Service", SimpleNamespace(card={"label_thresholds": None}))  # whose card is all that is looked at

pytestmark = pytest.mark.anyio


def answered(score: float, *, decode_seconds: float = 0.01) -> PredictionResult:
    scores = [{"label": "cat", "score": score}, {"label": "dog", "score": 1 - score}]
    prediction = {"label": "cat", "score": score, "unknown_score": None, "predictions": scores}
    return PredictionResult(prediction, decode_seconds, 0, 0)  # type: ignore[arg-type]


def skipped(metrics: Metrics) -> dict[str, float]:
    samples = [it for metric in metrics.review_skipped.collect() for it in metric.samples if it.name.endswith("_total")]
    return {it.labels["reason"]: it.value for it in samples}


async def test_what_is_not_considered_is_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    Keeper(ReviewStore(tmp_path, 1), 0, metrics).consider(SERVICE, b"", answered(0.5))
    keeper = Keeper(ReviewStore(tmp_path, 1), 1, metrics)
    keeper.consider(SERVICE, b"", answered(0.5, decode_seconds=0.6))
    assert skipped(metrics) == {"share": 1, "heavy": 1}


async def test_few_uploads_wait_and_the_most_interesting_ones_stay(tmp_path: Path) -> None:
    metrics = Metrics()
    keeper = Keeper(ReviewStore(tmp_path, 1), 1, metrics)
    for score in (0.9, 0.5, 0.99, 0.6, 0.7, 0.8, 0.95, 0.55, 0.65, 0.75):
        keeper.consider(SERVICE, str(score).encode(), answered(score))
    assert skipped(metrics) == {"busy": 2}
    assert keeper.take().data == b"0.5"
    for _ in range(2):
        keeper.consider(SERVICE, bytes(20_000_000), answered(0.52))
    assert skipped(metrics) == {"busy": 3}  # the bytes of all that wait have a limit, too
    assert len(keeper.take().data) == 20_000_000
    assert keeper.take().data == b"0.55"
