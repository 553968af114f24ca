"""`POST /predict` and `POST /predict/batch`: the hot path, so FastAPI describes it but does not walk it.

The body is read and the answer written here, by hand: resolving dependencies, spooling forms to files and validating
our own answers took half of a request's time outside of the pictures (docs/speed.md). The tests hold the answers
against the schemas instead.
"""

import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from app import errors
from app.dependencies import require_service
from app.jobs import Outcome
from app.metrics import Metrics
from app.problems import describe, problem_responses
from app.schemas import BatchAnswer, PredictionAnswer
from app.settings import Settings
from app.uploads import FIELD, FORM, RAW, read_upload, read_uploads
from model.errors import PictureTooLargeError, UndecodablePictureError, UnsupportedFormatError

router = APIRouter(tags=["predict"])
logger = logging.getLogger(__name__)

# Both notations for bytes are given: `format` is what OpenAPI 3.0 tools look for, `contentMediaType` is OpenAPI 3.1's.
_BYTES = {"type": "string", "format": "binary", "contentMediaType": RAW}
_DEFAULT_TOP_K = 5
_TOP_K = TypeAdapter(Annotated[int, Field(ge=1)])
_PARAMETERS = [
    {
        "name": "top_k",
        "in": "query",
        "description": "How many classes to list; more than there are lists all.",
        "schema": {**_TOP_K.json_schema(), "default": _DEFAULT_TOP_K},
    }
]
_PICTURE_ERRORS = (PictureTooLargeError, UnsupportedFormatError, UndecodablePictureError, errors.InferenceFailedError)
_REQUEST_ERRORS = (
    errors.MalformedFormError,
    errors.CrossSiteError,
    errors.RequestTimeoutError,
    errors.BodyTooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.InvalidUploadError,
    RequestValidationError,
    errors.OverloadedError,
    errors.NotReadyError,
    errors.DeadlineExceededError,
)


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"parameters": _PARAMETERS, "requestBody": {"required": True, "content": content}}


def _form(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: schema}}}


@router.post(
    "/predict",
    summary="Say what a picture shows",
    response_model=PredictionAnswer,
    openapi_extra=_body({FORM: _form(_BYTES), "image/*": {"schema": _BYTES}, RAW: {"schema": _BYTES}}),
    responses=problem_responses(*_REQUEST_ERRORS, *_PICTURE_ERRORS),
)
async def predict(request: Request) -> Response:
    """Send the picture in the form field `file`, or its bytes as the body. JPEG, PNG, WebP, GIF or BMP."""
    started = time.perf_counter()
    service = require_service(request.app)
    top_k = _read_top_k(request)
    data = await read_upload(request)
    outcome = await service.predict(data, top_k=top_k, receive=request.receive)
    timing = {**_stages(outcome), "total": _milliseconds(time.perf_counter() - started)}
    answer = {**outcome.prediction, "model": service.checkpoint_id, "timing_ms": timing}
    return _answer(answer, timing)


@router.post(
    "/predict/batch",
    summary="Say what several pictures show",
    response_model=BatchAnswer,
    openapi_extra=_body({FORM: _form({"type": "array", "items": _BYTES})}),
    responses=problem_responses(*_REQUEST_ERRORS),
)
async def predict_batch(request: Request) -> Response:
    """Send each picture in a form field `file` of its own. A picture that cannot be used fails alone."""
    started = time.perf_counter()
    service = require_service(request.app)
    settings: Settings = request.app.state.settings
    top_k = _read_top_k(request)
    files = await read_uploads(request, most=settings.max_files)
    outcomes = await service.predict_many(files, top_k=top_k, receive=request.receive)
    results = [_result(outcome, request.app.state.metrics) for outcome in outcomes]
    timing = {"total": _milliseconds(time.perf_counter() - started)}
    return _answer({"results": results, "model": service.checkpoint_id, "timing_ms": timing}, timing)


def _read_top_k(request: Request) -> int:
    if not request.scope["query_string"]:
        return _DEFAULT_TOP_K
    try:
        return _TOP_K.validate_python(request.query_params.get("top_k", _DEFAULT_TOP_K))
    except ValidationError as exc:
        raise RequestValidationError([{**error, "loc": ("query", "top_k")} for error in exc.errors()]) from exc


def _result(outcome: Outcome | Exception, metrics: Metrics) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        problem = describe(outcome, metrics)
        logger.info("A picture of several was refused", extra={"code": problem.code})
        return {"prediction": None, "problem": problem}
    return {"prediction": {**outcome.prediction, "timing_ms": _stages(outcome)}, "problem": None}


def _stages(outcome: Outcome) -> dict[str, float]:
    return {
        "decode": _milliseconds(outcome.decode_seconds),
        "queue": _milliseconds(outcome.queue_seconds),
        "inference": _milliseconds(outcome.inference_seconds),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _answer(content: Mapping[str, Any], timing: Mapping[str, float]) -> Response:
    header = ", ".join([f"{stage};dur={milliseconds}" for stage, milliseconds in timing.items()])
    return Response(to_json(content), headers={"Server-Timing": header}, media_type="application/json")
