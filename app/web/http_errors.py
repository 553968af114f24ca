"""What a router refuses, in sentences: paths that lead nowhere, and methods that a path does not answer to."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Mount
from starlette.types import Scope

from whisker.app.errors import quoted

_METHODS = ("GET", "POST", "PUT", "DELETE")  # that routes have; HEAD goes with the former


class ExplainedHTTPException(HTTPException):
    """An error of HTTP's own whose `detail` is a sentence for the client."""


def explained(exc: HTTPException, request: Request) -> HTTPException:
    """Say what came, and what is there; of a method that is refused also, in `Allow`, which are not."""
    if isinstance(exc, ExplainedHTTPException) or exc.status_code not in (404, 405):
        return exc
    path = quoted(request.scope["path"])
    if exc.status_code == 404:
        return ExplainedHTTPException(404, f"There is nothing at {path}.")
    allowed = _allowed(exc, request.scope)
    sentence = f"{quoted(request.method)} came, but {path} answers to {' and '.join(allowed)} alone."
    return ExplainedHTTPException(405, sentence, {"Allow": ", ".join(allowed)})


def _allowed(exc: HTTPException, scope: Scope) -> list[str]:
    """List the methods of all routes of a path; the one that has refused knows its own only."""
    routes = [route for route in scope["app"].routes if not isinstance(route, Mount)]
    found = {method.strip() for method in (exc.headers or {}).get("Allow", "").split(",") if method}
    for method in _METHODS:
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes):
            found.add(method)
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
