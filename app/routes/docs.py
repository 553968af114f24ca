"""Swagger UI, served without third-party requests: it works offline, and no third party learns who uses it."""

import functools

from fastapi import APIRouter, FastAPI
from pydantic_core import to_json
from starlette.responses import HTMLResponse, Response

from whisker.app.web.error_page import POLICY, render_errors
from whisker.app.web.files import ContentResponse, PackageFiles
from whisker.app.web.problem_kinds import ERRORS_PATH

# Swagger UI's files come with the package fastapi-offline, the script that starts it with the page. No others may run;
# its style sheet draws icons from data: addresses, and it sets styles on elements.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Addresses are relative, so that the page works behind a proxy that adds a prefix.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Whisker: API</title>
<link rel="icon" href="page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="stylesheet" href="page/docs.css">
</head>
<body>
<header>
<a href="./">Back to the page</a> <a href="card">Model</a> <a href="docs/errors">Errors</a>
</header>
<main id="swagger-ui"></main>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="page/docs.js"></script>
</body>
</html>
"""
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")

_router = APIRouter(include_in_schema=False)
_errors_page = functools.cache(render_errors)


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI at `/docs`, and the OpenAPI document, which is written once."""

    @functools.cache
    def document() -> bytes:
        return to_json(app.openapi())

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return ContentResponse(document(), "application/json")

    app.include_router(_router)
    app.mount("/docs/assets", PackageFiles("fastapi_offline", "static", _FILES), name="docs-assets")


@_router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@_router.get(ERRORS_PATH)
async def errors() -> HTMLResponse:
    return HTMLResponse(_errors_page(), headers={"Content-Security-Policy": POLICY})
