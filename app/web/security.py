"""API keys, requests from pages of other sites, and the security headers of answers."""

import hmac

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import CrossSiteError, UnauthorizedError

_HEALTH = ("/health", "/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready")
_PAGES = ("/", "/card", "/docs", "/openapi.json")
_FOLDERS = ("/docs/", "/page/", "/examples/")
_SAME_SITE = ("same-origin", "none")  # the latter: typed in, or from a bookmark

NOSNIFF = ("X-Content-Type-Options", "nosniff")
CLOSED_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")


class SecurityHeadersMiddleware:
    """Forbid browsers to guess content types and, by default, to load anything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append(*NOSNIFF)
                headers.setdefault(*CLOSED_POLICY)
            await send(message)

        await self.app(scope, receive, send_guarded)


class CrossSiteMiddleware:
    """Refuse requests that a browser sends for a page of another site: it may reach a service meant for its user alone.

    A browser says so in `Sec-Fetch-Site` or, where it does not send that, in `Origin`; other clients send neither.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and _is_cross_site(Headers(scope=scope)):
            raise CrossSiteError("Pictures are not accepted from pages of other sites.")
        await self.app(scope, receive, send)


class ApiKeyMiddleware:
    """Require the API key, if one is set, except for health, pages and documentation.

    `health` is one more path that needs no key: the health route that a platform has chosen.
    """

    def __init__(self, app: ASGIApp, *, key: SecretStr | None, health: str | None = None) -> None:
        self.app = app
        self._open = {*_HEALTH, *_PAGES, health}
        self._expected = None if key is None else f"Bearer {key.get_secret_value()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._expected is not None and not self._is_open(scope):
            given = Headers(scope=scope).get("authorization", "")
            if not hmac.compare_digest(given.encode("latin-1"), self._expected):
                raise UnauthorizedError("Send the service's API key: `Authorization: Bearer KEY`.")
        await self.app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return scope["method"] in ("GET", "HEAD") and (path in self._open or path.startswith(_FOLDERS))


def _is_cross_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _SAME_SITE
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
