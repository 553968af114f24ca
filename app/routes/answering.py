"""From pictures to results within the deadline, for every route that predicts."""

import asyncio
from collections.abc import Sequence
from typing import cast

from fastapi import Request

from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.inference.wire import PredictionOptions
from whisker.app.routes.state import state_of
from whisker.app.tracing.outcome import trace_outcome
from whisker.app.uploads.deadline import in_time
from whisker.app.uploads.slots import SLOT, UploadSlot


async def predict_one(request: Request, service: Service, data: bytes, options: PredictionOptions) -> PredictionResult:
    """Predict for one picture; raise what `Service.submit`, its result and `in_time` raise."""
    result = await in_time(service.submit(data, options), request.receive, _deadline(request))
    service.record(result)
    trace_outcome(request.scope, service.checkpoint_id, result)
    _consider(request, data, result)
    return result


async def predict_many(
    request: Request, service: Service, files: Sequence[bytes], options: PredictionOptions
) -> list[PredictionResult | Exception]:
    """Predict for several pictures, each with its own result or error.

    Raises what `Service.submit` and `in_time` raise, and `OverloadedError` if there is not a slot for each.
    """
    slot: UploadSlot = request.scope[SLOT]
    slot.hold(len(files))
    submitted = [service.submit(data, options, has_company=len(files) > 1) for data in files]
    answers = asyncio.gather(*submitted, return_exceptions=True)
    # A worker's failure is never a bare BaseException.
    results = cast("list[PredictionResult | Exception]", await in_time(answers, request.receive, _deadline(request)))
    for data, result in zip(files, results, strict=True):
        trace_outcome(request.scope, service.checkpoint_id, result)
        if isinstance(result, PredictionResult):
            service.record(result)
            _consider(request, data, result)
    return results


def _consider(request: Request, data: bytes, result: PredictionResult) -> None:
    """Offer an upload for review, if the operator keeps any."""
    keeper = state_of(request.app).keeper
    if keeper is not None:
        keeper.consider(data, result)


def _deadline(request: Request) -> float:
    return state_of(request.app).settings.deadline_seconds
