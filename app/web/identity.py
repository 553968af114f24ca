"""Whom a request is for and who sends it, said once and clearly; and the names under which the service may be asked."""

import re
from collections.abc import Collection
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from whisker.app.errors import MalformedRequestError, MisdirectedRequestError, quoted
from whisker.app.web.security import HEALTH

# RFC 9110, section 5.3: a second one would count for one reader and not for the next.
_ONCE = (b"host", b"authorization", b"content-type")
# A name or an address, and a port: RFC 3986 without user information and escapes.
_HOST = re.compile(rb"([\w.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{0,5})?", re.ASCII)
_PROBED = frozenset({*HEALTH, "/metrics"})
_ANY = "*."


class IdentityMiddleware:
    """Refuse requests whose head is ambiguous, and those for another name than the service's, if it has some.

    Names are those of `WHISKER_ALLOWED_HOSTS`. They keep out pages that have made a name of theirs lead here (DNS
    rebinding): to a browser, the service is then a part of that page's own site. Probes ask for health and metrics by
    address, or as localhost, which no page can be loaded from that is not already here.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str] | None, health: str | None = None) -> None:
        self.app = app
        self._names = names
        self._probed = _PROBED | {health}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = require_clear_head(scope)
            if self._names is not None and not self._is_ours(scope, host):
                raise MisdirectedRequestError(f"The service is not to be asked under the name {quoted(host)}.")
        await self.app(scope, receive, send)

    def _is_ours(self, scope: Scope, host: str) -> bool:
        name = _name_of(host)
        if scope["path"] in self._probed and scope["method"] in ("GET", "HEAD") and _is_near(name):
            return True
        parents = [_ANY + name[at + 1 :] for at, sign in enumerate(name) if sign == "."]
        port = host.rpartition("]")[2].partition(":")[2]
        return any(it in (self._names or ()) for one in (name, *parents) for it in (one, f"{one}:{port}"))


def require_clear_head(scope: Scope) -> str:
    """Return the host that a request is for; raise `MalformedRequestError` if its head leaves a doubt of that kind.

    Only HTTP/1.0 may leave the host out: then it is empty.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found:
            raise MalformedRequestError(f"The request has more than one header {name.decode().title()}.")
        if name in _ONCE:
            found[name] = value
    host = found.get(b"host")
    if host is None and scope["http_version"] == "1.0":
        return ""
    if host is None or not _HOST.fullmatch(host):
        raise MalformedRequestError("The request's header Host is missing, or is no name and port.")
    return host.decode().lower()


def _name_of(host: str) -> str:
    """Leave out a port, and the dot at the end of a name, which says that it is complete."""
    return host if host.endswith("]") else (host.rpartition(":")[0] or host).removesuffix(".")


def _is_near(name: str) -> bool:
    """Tell whether a host is no name that anybody could have made lead here."""
    if name in ("", "localhost"):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
