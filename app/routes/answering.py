"""From pictures to results within the deadline, for every route that predicts."""

import asyncio
from collections.abc import Sequence
from typing import cast

from fastapi import Request

from whisker.app.errors import InferenceFailedError
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.wire import PredictionOptions
from whisker.app.repository.model import Choice, RepositoryModel
from whisker.app.routes.state import state_of
from whisker.app.tracing.outcome import trace_outcome
from whisker.app.uploads.deadline import in_time
from whisker.app.uploads.slots import SLOT, UploadSlot
from whisker.model.errors import PictureError


async def predict_one(request: Request, choice: Choice, data: bytes, options: PredictionOptions) -> PredictionResult:
    """Predict for one picture; raise what `Service.submit`, its result and `in_time` raise."""
    try:
        result = await in_time(choice.service.submit(data, options), request.receive, _deadline(request))
    except (PictureError, InferenceFailedError) as exc:
        _note(request, choice, exc)
        raise
    choice.service.record(result)
    trace_outcome(request.scope, choice.service.checkpoint_id, result)
    _note(request, choice, result)
    _offer(request, choice, data, result)
    return result


async def predict_many(
    request: Request, choice: Choice, files: Sequence[bytes], options: PredictionOptions
) -> list[PredictionResult | Exception]:
    """Predict for several pictures, each with its own result or error.

    Raises what `Service.submit` and `in_time` raise, and `OverloadedError` if there is not a slot for each.
    """
    slot: UploadSlot = request.scope[SLOT]
    slot.hold(len(files))
    submitted = [choice.service.submit(data, options, has_company=len(files) > 1) for data in files]
    answers = asyncio.gather(*submitted, return_exceptions=True)
    found = await in_time(answers, request.receive, _deadline(request))
    results = cast("list[PredictionResult | Exception]", found)  # a worker's failure is never a bare BaseException
    if isinstance(results[0], PredictionResult | PictureError | InferenceFailedError):
        _note(request, choice, results[0])  # one of each request: its pictures have a client in common
    for data, result in zip(files, results, strict=True):
        trace_outcome(request.scope, choice.service.checkpoint_id, result)
        if isinstance(result, PredictionResult):
            choice.service.record(result)
            _offer(request, choice, data, result)
    return results


def _note(request: Request, choice: Choice, outcome: PredictionResult | Exception) -> None:
    """Let the model know what came of an answer, while it tries another version."""
    model = _model(request, choice) if choice.is_drawn else None
    if model is not None:
        model.note(choice, outcome)


def _offer(request: Request, choice: Choice, data: bytes, result: PredictionResult) -> None:
    """Offer an upload for review, if the operator keeps any, and to the shadow, if there is one."""
    state, service, model = state_of(request.app), choice.service, _model(request, choice)
    if state.models is None or model is None or not service.is_serving:
        return
    is_kept = model is state.models.default  # whose classes the photos for review are labelled with
    if state.keeper is not None and is_kept:
        state.keeper.consider(service, data, result)
    if (shadow := model.shadow) is not None:
        state.shadows.offer(service, shadow, data, result, is_kept=is_kept)


def _model(request: Request, choice: Choice) -> RepositoryModel | None:
    """Find the model that has answered; it may be gone by now."""
    models = state_of(request.app).models
    return None if models is None else models.find(choice.service.name)


def _deadline(request: Request) -> float:
    return state_of(request.app).settings.deadline_seconds
