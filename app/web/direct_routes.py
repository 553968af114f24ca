"""The hot path: routes that are found at once, and whose answers FastAPI neither resolves nor wraps.

FastAPI describes them like all others. But on the way to a route it asks each router in turn, opens exit stacks for
dependencies that these have not, and looks for a body that these read themselves: a third of what a request cost the
HTTP process (docs/adr/0037-http-cost.md).
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_Endpoint = Callable[[Request], Awaitable[Response]]


class DirectRoutesMiddleware:
    """Answer requests for `routes`, by method and exact path; all others go on to the router.

    Their endpoints take the request alone and return a response; what they raise is for `ProblemMiddleware`.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[APIRoute]) -> None:
        self.app = app
        self._routes = {
            (method, route.path): (route, cast("_Endpoint", route.endpoint))
            for route in routes
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None or scope.get("root_path"):  # which some servers have in the path, and some not
            await self.app(scope, receive, send)
            return
        scope["route"], endpoint = found
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
