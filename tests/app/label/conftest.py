"""The application with a folder for review, and pictures that wait in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.app.conftest import Serving

KEY = "a key of this test"
KEY = KEY.replace(" ", "-")

Reviewing = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def reviewing(serving: Serving, tmp_path: Path) -> Reviewing:
    """Give a context in which the application keeps uploads, and a client that has its key."""

    @asynccontextmanager
    async def review(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with serving(review=tmp_path, api_key=SecretStr(KEY), **changes) as client:
            client.headers["Authorization"] = f"Bearer {KEY}"
            yield client

    return review


async def upload(client: httpx.AsyncClient, *pictures: bytes) -> list[dict[str, Any]]:
    """Send pictures, wait until all of them are kept, and list them, the next one first."""
    for data in pictures:
        before = (await client.get("/review")).json()["progress"]["waiting"]
        answer = await client.post("/predict", content=data, headers={"Content-Type": "image/png"})
        assert answer.status_code == 200
        while (await client.get("/review")).json()["progress"]["waiting"] == before:
            await asyncio.sleep(0.005)
    return (await client.get("/review")).json()["photos"]  # type: ignore[no-any-return]
