"""Files served from memory: a client that reads slowly holds no descriptor, and all clients share one copy."""

import hashlib
import mimetypes
from collections.abc import Iterable, Mapping
from importlib.resources import files

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_PIECE_BYTES = 65_536


class ContentResponse(Response):
    """Send bytes in pieces, each when the client has taken most of those before."""

    def __init__(self, content: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={**(headers or {}), "Content-Length": str(len(content))}, media_type=media_type)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        content = memoryview(b"" if scope["method"] == "HEAD" else self._content)
        for at in range(0, len(content), _PIECE_BYTES):
            piece = bytes(content[at : at + _PIECE_BYTES])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


class PackageFiles:
    """Serve some files of a package, which do not change while the service runs, to be mounted at a path."""

    def __init__(self, package: str, folder: str, names: Iterable[str]) -> None:
        root = files(package) / folder
        self._responses = {name: _response(name, (root / name).read_bytes()) for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        response = self._responses.get(path.removeprefix(scope["root_path"]).removeprefix("/"))
        if response is None:
            raise HTTPException(404)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        tag = response.headers["ETag"]
        if tag in Headers(scope=scope).get("if-none-match", ""):
            response = Response(status_code=304, headers={"ETag": tag})
        await response(scope, receive, send)


def _response(name: str, content: bytes) -> Response:
    tag = hashlib.sha256(content).hexdigest()[:32]
    return ContentResponse(content, mimetypes.guess_type(name)[0] or "application/octet-stream", {"ETag": f'"{tag}"'})
