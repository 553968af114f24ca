"""Errors as clients see them: RFC 9457 problems, each with a stable code.

No other module knows which error has which status.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app import errors
from whisker.app.logs import current_request_id
from whisker.app.metrics import Metrics
from whisker.app.schemas import Problem
from whisker.model.errors import (
    NoHeatMapError,
    PictureTooLargeError,
    UndecodablePictureError,
    UnsupportedFormatError,
    WhiskerError,
)

MEDIA_TYPE = "application/problem+json"
CODE = "whisker.code"  # where a request's scope has the code of the problem it was answered with
_CLIENT_CLOSED_REQUEST = 499  # nobody reads it, but logs and metrics tell it from a failure; nginx's number
_RETRY_AFTER = {"Retry-After": "1"}  # seconds, unless the error knows better
_CLOSE = {"Connection": "close"}  # the rest of the body stays unread

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its stable code, its status, and its meaning for clients."""

    code: str
    status: int
    meaning: str
    headers: Mapping[str, str] = field(default_factory=dict)


_Row = tuple[type[WhiskerError], int, str, Mapping[str, str]]
_ROWS: tuple[_Row, ...] = (
    (errors.MalformedRequestError, 400, "The bytes received are not HTTP, or its head is ambiguous.", _CLOSE),
    (errors.MalformedFormError, 400, "The multipart form cannot be parsed.", {}),
    (errors.UnauthorizedError, 401, "The API key is missing or wrong.", {"WWW-Authenticate": "Bearer"}),
    (errors.CrossSiteError, 403, "A page of another site may not send pictures here.", {}),
    (errors.CorrectionsOffError, 404, "The service keeps no photos, so it takes no corrections.", {}),
    (errors.RequestTimeoutError, 408, "The request came in too slowly.", _CLOSE),
    (errors.BodyTooLargeError, 413, "The body has more bytes than accepted.", _CLOSE),
    (PictureTooLargeError, 413, "The picture has more pixels, a longer side, or more work in it, than accepted.", {}),
    (errors.TargetTooLongError, 414, "The path and query are longer than accepted.", _CLOSE),
    (errors.UnsupportedMediaTypeError, 415, "The content type is neither a form nor a raw picture.", {}),
    (UnsupportedFormatError, 415, "The file is not JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF.", {}),
    (errors.MisdirectedRequestError, 421, "The service is not to be asked under this name.", {}),
    (UndecodablePictureError, 422, "The picture is damaged, incomplete or empty.", {}),
    (errors.InvalidUploadError, 422, "The form does not hold exactly one file named `file`.", {}),
    (errors.UnknownClassError, 422, "The checkpoint does not have the class that the request names.", {}),
    (NoHeatMapError, 422, "The network has no feature map, so there are no heat maps.", {}),
    (errors.HeadTooLargeError, 431, "The headers are more, or longer, than accepted.", _CLOSE),
    (errors.ClientGoneError, _CLIENT_CLOSED_REQUEST, "The client left; seen in logs and metrics only.", {}),
    (errors.InferenceFailedError, 500, "The network could not answer for this picture.", {}),
    (errors.OverloadedError, 503, "Too many uploads at once; try again.", _RETRY_AFTER),
    (errors.NotReadyError, 503, "The service is starting or stopping; try again.", _RETRY_AFTER),
    (errors.DeadlineExceededError, 504, "There was no answer in the time allowed.", {}),
    (errors.CorrectionsFullError, 507, "There is no room for a correction at the moment.", {}),
)
KINDS: Mapping[type[Exception], Kind] = {
    **{error: Kind(error.code, status, meaning, headers) for error, status, meaning, headers in _ROWS},
    RequestValidationError: Kind("invalid_request", 422, "A parameter has a value that is not allowed."),
    Exception: Kind(WhiskerError.code, 500, "The service has a defect; its log has the details."),
}
_NOT_FOUND = Kind("not_found", 404, "There is nothing at this path.")
_METHOD_NOT_ALLOWED = Kind("method_not_allowed", 405, "The path does not answer to this method; see `Allow`.")
HTTP_KINDS = {kind.status: kind for kind in (_NOT_FOUND, _METHOD_NOT_ALLOWED)}  # what the router itself refuses


def kind_of(exc: Exception) -> Kind:
    """Find the kind of an error: its own, its nearest ancestor's, or `internal_error`."""
    if isinstance(exc, HTTPException) and exc.status_code in HTTP_KINDS:
        return HTTP_KINDS[exc.status_code]
    return next(KINDS[ancestor] for ancestor in type(exc).__mro__ if ancestor in KINDS)


def problem_responses(*kinds: type[Exception]) -> dict[int | str, dict[str, object]]:
    """Describe, for an operation of the OpenAPI document, the problems it may answer with."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    responses: dict[int | str, dict[str, object]] = {}
    for kind in (KINDS[error] for error in kinds):
        response = responses.setdefault(kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": schema}}})
        response["description"] = f"{response['description']}\n\n`{kind.code}`: {kind.meaning}".strip()
    return responses


def problem_handler(metrics: Metrics) -> Callable[[Request, Exception], Coroutine[None, None, Response]]:
    """Make the handler for what FastAPI and its router raise, which they would otherwise answer in their own way."""

    async def answer_problem(request: Request, exc: Exception) -> Response:
        return _response(exc, metrics, request.scope)

    return answer_problem


class ProblemMiddleware:
    """Turn every error raised below into a problem, unexpected ones included; nothing internal is disclosed."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noticed(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noticed)
        except Exception as exc:  # the last resort: whatever it is, the client gets a problem
            if started or scope["type"] != "http":
                raise
            await _response(exc, self._metrics, scope)(scope, receive, send)


def describe(exc: Exception, metrics: Metrics, *, request_id: str | None = None) -> Problem:
    """Describe an error to the client, count it, and log it if it is a defect of the service.

    `request_id` defaults to that of the request being answered.
    """
    kind = kind_of(exc)
    if kind is KINDS[Exception]:
        logger.error("Unexpected error", exc_info=exc)
    metrics.problems.labels(kind.code).inc()
    return problem_of(exc, request_id or current_request_id())


def problem_of(exc: Exception, request_id: str) -> Problem:
    """Describe an error to the client, and do no more."""
    kind = kind_of(exc)
    return Problem(
        type="about:blank",
        title="Client Closed Request" if kind.status == _CLIENT_CLOSED_REQUEST else HTTPStatus(kind.status).phrase,
        status=kind.status,
        detail=_detail(exc, kind),
        code=kind.code,
        request_id=request_id,
    )


def problem_headers(exc: Exception) -> dict[str, str]:
    """Return the headers of a problem, besides those of every answer."""
    headers = {**kind_of(exc).headers, **((exc.headers or {}) if isinstance(exc, HTTPException) else {})}
    if isinstance(exc, errors.OverloadedError):
        headers["Retry-After"] = str(exc.retry_seconds)
    return headers


def _response(exc: Exception, metrics: Metrics, scope: Scope) -> Response:
    problem = describe(exc, metrics)
    scope[CODE] = problem.code
    return Response(problem.model_dump_json(), problem.status, problem_headers(exc), MEDIA_TYPE)


def _detail(exc: Exception, kind: Kind) -> str:
    """Say what happened; only Whisker's own errors have messages written for clients."""
    if isinstance(exc, RequestValidationError):
        error = exc.errors()[0]
        where, name = error["loc"][0], error["loc"][-1]
        return f"The {where} parameter `{name}` is not valid: {error['msg'][0].lower()}{error['msg'][1:]}."
    if type(exc) in KINDS:
        return str(exc)
    return kind.meaning
