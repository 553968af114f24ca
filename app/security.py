"""Who may ask, and what browsers may make of an answer."""

import hmac

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import CrossSiteError, UnauthorizedError

_OPEN = ("/health", "/livez", "/readyz", "/", "/docs", "/openapi.json")  # without a key, too
_OPEN_FOLDER = "/docs/"
_SAME_SITE = ("same-origin", "none")  # the latter: typed in, or from a bookmark

NOSNIFF = ("X-Content-Type-Options", "nosniff")
CLOSED_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")


class SecurityHeadersMiddleware:
    """Forbid browsers to guess content types, and to load anything unless the answer says otherwise."""

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
    """Refuse what a browser sends for a page of another site: it may reach a service that only its user should.

    A browser says so in `Sec-Fetch-Site` or, where it does not send that, in `Origin`; other clients send neither.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and _is_cross_site(Headers(scope=scope)):
            raise CrossSiteError("Pictures are not accepted from pages of other sites.")
        await self.app(scope, receive, send)


class ApiKeyMiddleware:
    """Ask for an API key, if there is one, except by who looks at the service's health or documentation."""

    def __init__(self, app: ASGIApp, *, key: SecretStr | None) -> None:
        self.app = app
        self._expected = None if key is None else f"Bearer {key.get_secret_value()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._expected is not None and not _is_open(scope["path"]):
            given = Headers(scope=scope).get("authorization", "")
            if not hmac.compare_digest(given.encode("latin-1"), self._expected):
                raise UnauthorizedError("Send the service's API key: `Authorization: Bearer KEY`.")
        await self.app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDER)


def _is_cross_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _SAME_SITE
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
