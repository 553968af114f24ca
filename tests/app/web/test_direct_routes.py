"""The hot path answers what the router would have answered."""

from contextlib import suppress

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from tests.app.conftest import picture
from whisker.app.main import create_app, direct_routes
from whisker.app.settings import Settings

_PATHS = ("/predict", "/predict/batch", "/explain")


async def found_by_router(app: FastAPI, path: str) -> object:
    """Give the endpoint that the router chooses."""
    scope: Scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "headers": [], "app": app}
    with suppress(AssertionError):  # FastAPI's: it is not called as it would be
        await app.router(scope, left, drop)
    return scope["endpoint"]


async def left() -> Message:
    return {"type": "http.disconnect"}


async def drop(_message: Message) -> None:
    """Send nothing."""


@pytest.mark.anyio
async def test_no_other_route_comes_before_one_of_the_hot_path(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"protocols": "all"}))
    direct = {route.path: route.endpoint for route in direct_routes()}
    assert tuple(direct) == _PATHS
    assert {path: await found_by_router(app, path) for path in _PATHS} == direct


def test_path_that_a_platform_has_chosen_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/predict")
    assert [route.path for route in direct_routes()] == ["/predict/batch", "/explain"]


@pytest.mark.anyio
async def test_prefix_of_a_proxy_is_left_to_the_router(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, root_path="/whisker")
        async with httpx.AsyncClient(transport=transport, base_url="http://whisker") as client:
            for path in ("/predict", "/whisker/predict"):
                answer = await client.post(path, files={"file": picture()})
                assert (answer.status_code, answer.json()["image"]["width"]) == (200, 40)
