"""`POST /predict`, `/predict/batch` and `/explain`: the hot path, so FastAPI describes it but does not walk it.

The body is read and the answer written by hand: resolving dependencies, spooling forms to files and validating our own
answers took half of a request's time besides the pictures (docs/explanation/speed.md). Instead, tests compare the
answers with the schemas.
"""

import logging
import time
from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from whisker.app import errors
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import BEST
from whisker.app.metrics import Metrics
from whisker.app.routes.answering import predict_many, predict_one
from whisker.app.routes.dependencies import CANARY_VALUES, choose_service
from whisker.app.routes.openapi import BYTES, form_body
from whisker.app.routes.state import state_of
from whisker.app.schemas import DEFAULT_TOP_K, BatchAnswer, PredictionAnswer
from whisker.app.uploads.form_files import FIELD
from whisker.app.uploads.reader import RAW, read_upload, read_uploads
from whisker.app.web.problems import describe, problem_responses
from whisker.model.answers.kinds import OPACITY
from whisker.model.errors import NoHeatMapError, PictureTooLargeError, UndecodablePictureError, UnsupportedFormatError

router = APIRouter(tags=["predict"])
logger = logging.getLogger(__name__)
N = TypeVar("N", int, float)

_TOP_K = TypeAdapter(Annotated[int, Field(ge=1)])
_OPACITY = TypeAdapter(Annotated[float, Field(ge=0, le=1)])
_CLASS = "A class, or nothing (or `top`, unless a class has that name) for the best one"
_CHOICE = [
    {
        "name": "version",
        "in": "query",
        "description": "The version that is to answer; by default the one that is served.",
        "schema": {"type": "string"},
    },
    {
        "name": "Whisker-Canary",
        "in": "header",
        "description": "Whether the canary answers, if there is one; by default chance decides.",
        "schema": {"type": "string", "enum": [*CANARY_VALUES]},
    },
]
PARAMETERS = [
    {
        "name": "top_k",
        "in": "query",
        "description": "How many classes to list; a larger number lists all.",
        "schema": {**_TOP_K.json_schema(), "default": DEFAULT_TOP_K},
    },
    {
        "name": "explain",
        "in": "query",
        "description": f"{_CLASS}: adds a heat map: which parts of the picture are evidence for it.",
        "schema": {"type": "string"},
    },
    *_CHOICE,
]
OVERLAY_PARAMETERS = [
    *_CHOICE,
    {
        "name": "label",
        "in": "query",
        "description": f"{_CLASS}.",
        "schema": {"type": "string", "default": BEST},
    },
    {
        "name": "opacity",
        "in": "query",
        "description": "Opacity of the colours where they are strongest.",
        "schema": {**_OPACITY.json_schema(), "default": OPACITY},
    },
]
PICTURE_ERRORS = (PictureTooLargeError, UnsupportedFormatError, UndecodablePictureError, errors.InferenceFailedError)
QUERY_ERRORS = (RequestValidationError, errors.UnknownClassError, errors.UnknownVersionError, NoHeatMapError)
SAID_OF_OPACITY = {"invalid_request": "The query parameter `opacity` is `2`: input should be less than or equal to 1."}
SAID_OF_SEVERAL = {
    "unsupported_media_type": (
        "The request's content type is `image/png`: send the pictures as multipart/form-data, each in a field `file`."
    ),
    "invalid_upload": "The form must hold 1 to 32 files, each in a field `file`, but there is text in `note`.",
}
REQUEST_ERRORS = (
    errors.MalformedFormError,
    errors.CrossSiteError,
    errors.RequestTimeoutError,
    errors.BodyTooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.UnsupportedEncodingError,
    errors.InvalidUploadError,
    errors.OverloadedError,
    errors.NotReadyError,
    errors.DeadlineExceededError,
    Exception,
)


PNG: dict[int | str, dict[str, object]] = {200: {"content": {"image/png": {"schema": BYTES}}}}
ONE_PICTURE = form_body(
    "PictureForm",
    f"A form with the picture. Its bytes alone are taken, too, with the content type `image/*` or `{RAW}`.",
)
PICTURES = form_body("PicturesForm", f"A form with the pictures, each in a field `{FIELD}` of its own.")


@router.post(
    "/predict",
    summary="Say what a picture shows",
    response_model=PredictionAnswer,
    openapi_extra={"parameters": PARAMETERS, "requestBody": ONE_PICTURE},
    responses=problem_responses(*REQUEST_ERRORS, *QUERY_ERRORS, *PICTURE_ERRORS),
)
async def predict(request: Request) -> Response:
    """Send the picture in the form field `file`, or its bytes as the body.

    JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF or BMP.
    """
    started = time.perf_counter()
    choice = await choose_service(request)
    service = choice.service
    options = service.options(*_read_query(request))
    data = await read_upload(request)
    result = await predict_one(request, choice, data, options)
    timing = {**_stages(result), "total": _milliseconds(time.perf_counter() - started)}
    answer = {**result.prediction, "model": service.checkpoint_id, "timing_ms": timing}
    return _answer(answer, timing)


@router.post(
    "/predict/batch",
    summary="Say what several pictures show",
    response_model=BatchAnswer,
    openapi_extra={"parameters": PARAMETERS, "requestBody": PICTURES},
    responses=problem_responses(*REQUEST_ERRORS, *QUERY_ERRORS, said=SAID_OF_SEVERAL),
)
async def predict_batch(request: Request) -> Response:
    """Send each picture in a form field `file` of its own. A picture that cannot be used fails alone."""
    started = time.perf_counter()
    choice = await choose_service(request)
    service = choice.service
    state = state_of(request.app)
    options = service.options(*_read_query(request))
    files = await read_uploads(request, max_files=state.settings.max_files)
    results = await predict_many(request, choice, files, options)
    documents = [_result_document(result, state.metrics) for result in results]
    timing = {"total": _milliseconds(time.perf_counter() - started)}
    return _answer({"results": documents, "model": service.checkpoint_id, "timing_ms": timing}, timing)


@router.post(
    "/explain",
    summary="Show which parts of a picture are evidence for a class",
    response_class=Response,
    openapi_extra={"parameters": OVERLAY_PARAMETERS, "requestBody": ONE_PICTURE},
    responses=PNG | problem_responses(*REQUEST_ERRORS, *QUERY_ERRORS, *PICTURE_ERRORS, said=SAID_OF_OPACITY),
)
async def explain(request: Request) -> Response:
    """Send a picture as to `/predict`; it comes back upright, with sides of at most 800 pixels, under a heat map.

    Orange is evidence for the class, blue against it. `POST /predict?explain=` returns the same map as numbers.
    """
    started = time.perf_counter()
    choice = await choose_service(request)
    service = choice.service
    opacity = _read(_OPACITY, request, "opacity", OPACITY)
    options = service.options(1, request.query_params.get("label", BEST), opacity=opacity)
    result = await predict_one(request, choice, await read_upload(request), options)
    timing = {**_stages(result), "total": _milliseconds(time.perf_counter() - started)}
    return Response(result.drawing, headers=_server_timing(timing), media_type="image/png")


def _read_query(request: Request) -> tuple[int, str | None]:
    """Read how many classes are wanted, and for which a heat map."""
    if not request.scope["query_string"]:
        return DEFAULT_TOP_K, None
    return _read(_TOP_K, request, "top_k", DEFAULT_TOP_K), request.query_params.get("explain")


def _read(kind: TypeAdapter[N], request: Request, name: str, default: N) -> N:
    try:
        return kind.validate_python(request.query_params.get(name, default))
    except ValidationError as exc:
        raise RequestValidationError([{**error, "loc": ("query", name)} for error in exc.errors()]) from exc


def _result_document(result: PredictionResult | Exception, metrics: Metrics) -> dict[str, object]:
    if isinstance(result, Exception):
        problem = describe(result, metrics)
        logger.info("A picture of several was refused", extra={"code": problem.code})
        return {"prediction": None, "problem": problem}
    return {"prediction": {**result.prediction, "timing_ms": _stages(result)}, "problem": None}


def _stages(result: PredictionResult) -> dict[str, float]:
    return {
        "decode": _milliseconds(result.decode_seconds),
        "queue": _milliseconds(result.queue_seconds),
        "inference": _milliseconds(result.inference_seconds),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _answer(content: Mapping[str, object], timing: Mapping[str, float]) -> Response:
    return Response(to_json(content), headers=_server_timing(timing), media_type="application/json")


def _server_timing(timing: Mapping[str, float]) -> dict[str, str]:
    return {"Server-Timing": ", ".join([f"{stage};dur={milliseconds}" for stage, milliseconds in timing.items()])}
