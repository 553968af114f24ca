"""One application with a folder for review, which each test finds empty."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.app.conftest import Serving
from whisker.app.review.store import ReviewStore

KEY = "key-of-the-tests"


@dataclass(frozen=True, slots=True)
class Review:
    """A client that has the key, and the folder."""

    client: httpx.AsyncClient
    folder: Path

    async def upload(self, *pictures: bytes) -> list[dict[str, Any]]:
        """Send pictures, wait until each is kept or skipped, and list those that wait, the next one first."""
        for data in pictures:
            await self.decided(self.client.post("/predict", content=data, headers={"Content-Type": "image/png"}))
        return (await self.client.get("/review")).json()["photos"]  # type: ignore[no-any-return]

    async def decided(self, request: Any, uploads: int = 1) -> None:
        """Wait until so many uploads of a request, which must be answered, are kept or skipped."""
        before = sum((await self.decisions()).values())
        assert (await request).status_code == 200
        while sum((await self.decisions()).values()) < before + uploads:  # noqa: ASYNC110 - what decides tells nobody
            await asyncio.sleep(0.005)

    async def decisions(self) -> dict[str, float]:
        """Count the uploads that were kept, and those that were skipped by reason."""
        counts = dict[str, float]()
        for line in (await self.client.get("/metrics")).text.splitlines():
            if line.startswith("whisker_review_kept_total"):
                counts["kept"] = float(line.split()[-1])
            elif line.startswith("whisker_review_skipped_total"):
                counts[line.split('"')[1]] = float(line.split()[-1])
        return counts

    async def label(self, photo: str, *labels: str) -> httpx.Response:
        return await self.client.put(f"/review/{photo}/label", json={"labels": labels})


@pytest.fixture(scope="module")
async def running(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Review]:
    folder = tmp_path_factory.mktemp("review")
    async with serving(review=folder, api_key=SecretStr(KEY)) as client:
        yield Review(client, folder)


@pytest.fixture
def review(running: Review) -> Review:
    store = ReviewStore(running.folder, 1)
    for entry in [*store.next(100), *store.labelled()]:
        store.delete(entry.id)
    running.client.headers["Authorization"] = f"Bearer {KEY}"
    return running
