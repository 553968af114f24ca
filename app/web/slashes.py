"""Redirects between a path with and without a slash at its end, as relative addresses.

Starlette's own name the scheme and the host as the service sees them: behind a proxy that adds TLS, or a prefix, they
lead elsewhere.
"""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class SlashRedirect:
    """Answer for paths that no route has: with the way to one that differs by a slash at its end, or as before."""

    def __init__(self, routes: Sequence[BaseRoute], otherwise: ASGIApp) -> None:
        self._routes = routes
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        bare = path.removesuffix("/")
        other = bare if path.endswith("/") else f"{path}/"
        if scope["type"] != "http" or bare.endswith("/") or not bare or not self._has(scope, other):
            await self._otherwise(scope, receive, send)
            return
        name = quote(bare.rpartition("/")[2], safe="")
        way = f"../{name}" if path.endswith("/") else f"{name}/"
        query = scope["query_string"].decode("latin-1")
        await Response(status_code=307, headers={"Location": f"{way}?{query}" if query else way})(scope, receive, send)

    def _has(self, scope: Scope, path: str) -> bool:
        return any(route.matches({**scope, "path": path})[0] != Match.NONE for route in self._routes)


def redirect_slashes(router: Router) -> None:
    """Let a router's redirects be relative."""
    router.redirect_slashes = False
    router.default = SlashRedirect(router.routes, router.default)
