"""API keys, requests from pages of other sites, and the security headers of answers."""

import hmac
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisker.app.errors import CrossSiteError, UnauthorizedError, quoted
from whisker.app.web.cors import CorsOrigins

HEALTH = ("/health", "/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready")
_PAGES = ("/", "/card", "/docs", "/label", "/openapi.json")
_FORMS = ("/label",)  # whose routes read the key from a field of the form
_FOLDERS = ("/docs/", "/page/", "/examples/", "/label/")
_OF_BROWSERS = (b"sec-fetch-site", b"origin")
_SAME_SITE = (b"same-origin", b"none")  # the latter: typed in, or from a bookmark
_HARMLESS = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
_SCHEME = b"bearer"  # in any case: RFC 9110, section 11.1

NOSNIFF = ("X-Content-Type-Options", "nosniff")
CLOSED_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_NOSNIFF, _POLICY = [(name.lower().encode(), value.encode()) for name, value in (NOSNIFF, CLOSED_POLICY)]


class SecurityHeadersMiddleware:
    """Forbid browsers to guess content types and, by default, to load anything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), _NOSNIFF]
                if _POLICY[0] not in [name for name, _ in headers]:
                    headers.append(_POLICY)
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, send_guarded)


class CrossSiteMiddleware:
    """Refuse requests that a browser sends for a page of another site: it may reach a service meant for its user alone.

    A browser says so in `Sec-Fetch-Site` or, where it does not send that, in `Origin`; other clients send neither.
    Pages of the `origins` that the operator has named are no strangers.
    """

    def __init__(self, app: ASGIApp, *, origins: CorsOrigins) -> None:
        self.app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_asked = scope["type"] == "http" and scope["method"] not in _HARMLESS
        if is_asked and _is_cross_site(scope["headers"]) and not self._origins.allow(scope):
            origin = Headers(scope=scope).get("origin", "")
            page = f"a page of {quoted(origin)}" if origin else "a page of another site"
            raise CrossSiteError(f"The request comes from {page}, which the operator has not named for this path.")
        await self.app(scope, receive, send)


class KeyCheck:
    """Who may ask: those who have the API key and, for health, pages and documentation, everybody.

    A form of a browser without scripts has the key in a field, so that its route has to check it.

    `health` is one more path that needs no key: the health route that a platform has chosen.
    """

    def __init__(self, key: SecretStr | None, health: str | None = None) -> None:
        self._open = frozenset({*HEALTH, *_PAGES, health})
        self._expected = None if key is None else key.get_secret_value().encode()

    def allows(self, scope: Scope) -> bool:
        """Tell whether a request's method and path are open to everybody, or it has the key."""
        return self._expected is None or self._is_open(scope) or _has_key(scope, self._expected)

    def is_key(self, given: str) -> bool:
        """Tell whether a text is the API key."""
        return self._expected is not None and hmac.compare_digest(given.encode(), self._expected)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if scope["method"] == "POST" and path in _FORMS:
            return True
        return scope["method"] in ("GET", "HEAD") and (path in self._open or path.startswith(_FOLDERS))


class ApiKeyMiddleware:
    """Require the API key, if one is set, where `KeyCheck` says so."""

    def __init__(self, app: ASGIApp, *, check: KeyCheck) -> None:
        self.app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._check.allows(scope):
            raise UnauthorizedError(f"{_given(scope)}; send the service's API key: `Authorization: Bearer KEY`.")
        await self.app(scope, receive, send)


def _given(scope: Scope) -> str:
    """Say what came in place of a key, and nothing of it that may be secret."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    if given is None:
        return "There is no header Authorization"
    if given.partition(b" ")[0].lower() != _SCHEME:
        return "The header Authorization is not of the scheme Bearer"
    return "The key in the header Authorization is another one"


def _has_key(scope: Scope, expected: bytes) -> bool:
    """Compare in a time that does not depend on how much of the key is right."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, key = given.partition(b" ")
    return bool(hmac.compare_digest(key.strip(b" \t"), expected) & (scheme.lower() == _SCHEME))


def _is_cross_site(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Tell whether a browser asks for a page of another site; it sends each header once, so that a second one hides."""
    said = [header for header in headers if header[0] in _OF_BROWSERS]
    if not said:
        return False
    sites, origins = [[value for name, value in said if name == it] for it in _OF_BROWSERS]
    if len(sites) > 1 or len(origins) > 1:
        return True
    if sites:
        return sites[0] not in _SAME_SITE
    host = next((value for name, value in headers if name == b"host"), None)
    return origins[0].partition(b"://")[2] != host
