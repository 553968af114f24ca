"""The routes: thin, each one question to the service."""

import dataclasses
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST

from app import errors
from app.dependencies import MaybeServiceDep, MetricsDep, ServiceDep, SettingsDep
from app.limits import in_time
from app.problems import problem_responses
from app.schemas import (
    AliveAnswer,
    CheckpointId,
    HealthAnswer,
    InputCard,
    ModelCard,
    PredictionAnswer,
    ReadyAnswer,
    ScoredLabel,
    Timing,
    UploadedImage,
)
from app.service import Outcome, Service
from app.uploads import FIELD, FORM, RAW, read_upload
from model.errors import PictureTooLargeError, UndecodablePictureError, UnsupportedFormatError
from model.novelty import UNKNOWN_SCORE
from model.preprocessing import FORMATS

router = APIRouter()

# The body is read by `read_upload`, in either form, so FastAPI has to be told of it. Both notations for bytes are
# given: `format` is what OpenAPI 3.0 tools look for, `contentMediaType` is OpenAPI 3.1's.
_BYTES = {"type": "string", "format": "binary", "contentMediaType": RAW}
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BYTES}}},
            "image/*": {"schema": _BYTES},
            RAW: {"schema": _BYTES},
        },
    }
}


@router.post(
    "/predict",
    summary="Say what a picture shows",
    tags=["predict"],
    openapi_extra=_UPLOAD,
    responses=problem_responses(
        errors.MalformedFormError,
        errors.BodyTooLargeError,
        PictureTooLargeError,
        errors.UnsupportedMediaTypeError,
        UnsupportedFormatError,
        UndecodablePictureError,
        errors.InvalidUploadError,
        RequestValidationError,
        errors.InferenceFailedError,
        errors.OverloadedError,
        errors.NotReadyError,
        errors.DeadlineExceededError,
    ),
)
async def predict(
    request: Request,
    response: Response,
    service: ServiceDep,
    settings: SettingsDep,
    top_k: Annotated[int, Query(ge=1, description="How many classes to list; more than there are lists all.")] = 5,
) -> PredictionAnswer:
    """Send the picture in the form field `file`, or its bytes as the body. JPEG, PNG, WebP, GIF or BMP."""
    started = time.perf_counter()
    data = await read_upload(request, max_body_bytes=settings.max_body_bytes)
    outcome = await in_time(service.predict(data), receive=request.receive, seconds=settings.deadline_seconds)
    timing = _timing(outcome, time.perf_counter() - started)
    response.headers["Server-Timing"] = ", ".join(f"{stage};dur={ms}" for stage, ms in timing)
    return PredictionAnswer(
        label=outcome.prediction.label,
        score=outcome.prediction.score,
        verdict=outcome.prediction.verdict,
        unknown_score=outcome.prediction.unknown_score,
        predictions=[
            ScoredLabel(label=scored.label, score=scored.score) for scored in outcome.prediction.predictions[:top_k]
        ],
        model=_checkpoint_id(service),
        image=UploadedImage(width=outcome.picture.width, height=outcome.picture.height, format=outcome.picture.format),
        timing_ms=timing,
    )


@router.get(
    "/health",
    summary="Whether the service can predict, and with what",
    tags=["operate"],
    responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": HealthAnswer, "description": "It cannot predict."}},
)
async def health(response: Response, service: MaybeServiceDep) -> HealthAnswer:
    if service is None:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return HealthAnswer(status="unavailable", model=None, device=None, uptime_seconds=0)
    return HealthAnswer(
        status="ready", model=_checkpoint_id(service), device=service.device, uptime_seconds=service.uptime_seconds
    )


@router.get(
    "/livez",
    summary="Whether to leave the process running",
    tags=["operate"],
    responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": AliveAnswer, "description": "Restart the process."}},
)
async def livez(request: Request, response: Response, settings: SettingsDep) -> AliveAnswer:
    """Not alive: the inference thread has ended, or a batch has hung in it for `WHISKER_STALL_SECONDS`."""
    service: Service | None = request.app.state.service
    if service is None or service.is_alive(settings.stall_seconds):
        return AliveAnswer(status="alive")
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return AliveAnswer(status="stalled")


@router.get(
    "/readyz",
    summary="Whether to send uploads here",
    tags=["operate"],
    responses=problem_responses(errors.NotReadyError),
)
async def readyz(_service: ServiceDep) -> ReadyAnswer:
    """Ready: the checkpoint is loaded, its golden answers are verified, and the network is warmed up."""
    return ReadyAnswer(status="ready")


@router.get(
    "/model",
    summary="The card of the checkpoint being served",
    tags=["predict"],
    responses=problem_responses(errors.NotReadyError),
)
async def model_card(service: ServiceDep, settings: SettingsDep) -> ModelCard:
    checkpoint = service.checkpoint
    return ModelCard(
        name=checkpoint.name,
        version=service.version,
        sha256=checkpoint.sha256,
        device=service.device,
        classes=list(checkpoint.classes),
        input=InputCard(
            formats=list(FORMATS),
            max_body_bytes=settings.max_body_bytes,
            max_pixels=settings.max_pixels,
            preprocessing=dataclasses.asdict(checkpoint.preprocessing),
        ),
        network=dataclasses.asdict(checkpoint.network),
        temperature=checkpoint.temperature,
        thresholds={
            "unsure": checkpoint.thresholds.unsure,
            "unknown": None if checkpoint.novelty is None else UNKNOWN_SCORE,
        },
        metrics=dict(checkpoint.metrics),
        provenance=dict(checkpoint.provenance),
    )


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    tags=["operate"],
    response_class=Response,
    responses={status.HTTP_200_OK: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(collected: MetricsDep) -> Response:
    return Response(collected.render(), media_type=CONTENT_TYPE_LATEST)


def _checkpoint_id(service: Service) -> CheckpointId:
    return CheckpointId(name=service.checkpoint.name, version=service.version)


def _timing(outcome: Outcome, total_seconds: float) -> Timing:
    return Timing(
        decode=_milliseconds(outcome.decode_seconds),
        queue=_milliseconds(outcome.queue_seconds),
        inference=_milliseconds(outcome.inference_seconds),
        total=_milliseconds(total_seconds),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
