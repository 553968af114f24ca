"""Errors as clients see them: RFC 9457 problems, each with a stable code."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from types import MappingProxyType

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app import errors
from whisker.app.logs import current_request_id
from whisker.app.metrics import Metrics
from whisker.app.schemas import Problem
from whisker.app.web.http_errors import ExplainedHTTPException, explained
from whisker.app.web.problem_examples import EXAMPLES
from whisker.app.web.problem_kinds import CLIENT_CLOSED_REQUEST, ERRORS_PATH, HTTP_KINDS, KINDS, Kind

MEDIA_TYPE = "application/problem+json"
CODE = "whisker.code"  # where a request's scope has the code of the problem it was answered with

_REQUEST_ID = "0b5e9a3c7d1f4e6f8a2b4c6d8e0f1a2b"  # of examples

logger = logging.getLogger(__name__)


def kind_of(exc: Exception) -> Kind:
    """Find the kind of an error: its own, its nearest ancestor's, or `internal_error`."""
    if isinstance(exc, HTTPException) and exc.status_code in HTTP_KINDS:
        return HTTP_KINDS[exc.status_code]
    return next(KINDS[ancestor] for ancestor in type(exc).__mro__ if ancestor in KINDS)


def problem_responses(
    *kinds: type[Exception], said: Mapping[str, str] = MappingProxyType({})
) -> dict[int | str, dict[str, object]]:
    """Describe, for an operation of the OpenAPI document, the problems it may answer with, each by an example.

    `said` has the sentences that read differently there, by code.
    """
    responses: dict[int | str, dict[str, object]] = {}
    for kind in sorted((KINDS[error] for error in kinds), key=lambda kind: kind.status):
        schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
        content = {MEDIA_TYPE: {"schema": schema, "examples": dict[str, object]()}}
        response = responses.setdefault(kind.status, {"description": "", "content": content})
        response["description"] = f"{response['description']}\n\n`{kind.code}`: {kind.meaning}".strip()
        sentence = said.get(kind.code, EXAMPLES[kind.code])
        examples: dict[str, object] = response["content"][MEDIA_TYPE]["examples"]  # type: ignore[index]  # as it was made
        examples[kind.code] = {"summary": kind.code, "value": _problem(kind, sentence, _REQUEST_ID).model_dump()}
    return responses


def problem_handler(metrics: Metrics) -> Callable[[Request, Exception], Coroutine[None, None, Response]]:
    """Make the handler for what FastAPI and its router raise, which they would otherwise answer in their own way."""

    async def answer_problem(request: Request, exc: Exception) -> Response:
        if isinstance(exc, HTTPException):
            exc = explained(exc, request)
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
    return _problem(kind, _detail(exc, kind), request_id)


def _problem(kind: Kind, detail: str, request_id: str) -> Problem:
    return Problem(
        type=f"{ERRORS_PATH}#{kind.code}",
        title="Client Closed Request" if kind.status == CLIENT_CLOSED_REQUEST else HTTPStatus(kind.status).phrase,
        status=kind.status,
        detail=detail,
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
        where, name, came = error["loc"][0], error["loc"][-1], errors.quoted(str(error["input"]))
        return f"The {where} parameter `{name}` is {came}: {error['msg'][0].lower()}{error['msg'][1:]}."
    if type(exc) in KINDS:
        return str(exc)
    if isinstance(exc, ExplainedHTTPException):
        return exc.detail
    return kind.meaning
