"""Limits: bytes, uploads at once, and time; each refused early, each leaving nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message, Scope

from app.main import create_app
from app.settings import Settings
from tests.app.conftest import Serving, picture
from tests.app.test_problems import assert_problem

pytestmark = pytest.mark.anyio

_RAW = {"Content-Type": "image/png"}


async def test_declared_length_is_refused_before_a_byte_is_read(serving: Serving) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"x")
        yield read[-1]

    async with serving(max_body_bytes=100) as client:
        response = await client.post("/predict", content=body(), headers={**_RAW, "Content-Length": "101"})
    assert_problem(response, 413, "body_too_large")
    assert not read
    assert response.headers["connection"] == "close"
    assert "100 bytes" in response.json()["detail"]


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=b"])
async def test_endless_body_is_cut_at_the_limit(serving: Serving, content_type: str) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            sent += 1000
            yield b"x" * 1000

    async with serving(max_body_bytes=10_000) as client:
        response = await client.post("/predict", content=body(), headers={"Content-Type": content_type})
    assert_problem(response, 413, "body_too_large")
    assert sent <= 11_000


async def test_body_of_exactly_the_limit_is_accepted(serving: Serving) -> None:
    data = picture()
    async with serving(max_body_bytes=len(data)) as client:
        response = await client.post("/predict", content=data, headers=_RAW)
    assert response.status_code == 200


async def test_upload_larger_than_the_spool_stays_in_memory(client: httpx.AsyncClient) -> None:
    noise = bytes(range(256)) * 8192  # 2 MiB after the picture's end, which decoders do not mind
    response = await client.post("/predict", files={"file": ("a.png", picture() + noise)})
    assert response.status_code == 200


async def test_upload_beyond_the_limit_is_refused_while_probes_pass(serving: Serving) -> None:
    admitted, release = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        admitted.set()
        await release.wait()
        yield picture()

    async with serving(max_in_flight=1) as client:
        first = asyncio.create_task(client.post("/predict", content=slow(), headers=_RAW))
        await admitted.wait()
        refused = await client.post("/predict", content=picture(), headers=_RAW)
        assert_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        for path in ("/health", "/readyz", "/livez", "/metrics"):
            assert (await client.get(path)).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert "whisker_in_flight 1.0" in metrics
        assert 'whisker_shed_total{reason="overloaded"} 1.0' in metrics
        release.set()
        assert (await first).status_code == 200
        assert (await client.post("/predict", content=picture(), headers=_RAW)).status_code == 200
        assert "whisker_in_flight 0.0" in (await client.get("/metrics")).text


async def test_refused_uploads_leave_their_places(serving: Serving) -> None:
    async with serving(max_in_flight=1, max_body_bytes=1000) as client:
        for content in (b"x", b"x" * 2000, picture()[:60]):
            response = await client.post("/predict", content=content, headers=_RAW)
            assert response.status_code in (413, 415, 422)
        assert (await client.post("/predict", content=picture(), headers=_RAW)).status_code == 200


@pytest.mark.parametrize("complete", [True, False], ids=["waiting for the answer", "uploading"])
async def test_client_who_leaves_is_no_failure(settings: Settings, *, complete: bool) -> None:
    app = create_app(settings)
    large = picture(6000, 4000)  # takes longer to decode than a client's leaving goes unwatched
    messages: list[Message] = [
        {"type": "http.request", "body": large, "more_body": not complete},
        *([{"type": "http.request"}] if complete else []),  # servers may wake the application for nothing
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app):
        await app(_scope(), receive, send)
        text = app.state.metrics.render().decode()
    assert sent[0]["status"] == 499
    assert 'whisker_shed_total{reason="client_gone"} 1.0' in text
    assert "whisker_in_flight 0.0" in text


async def test_deadline_is_counted(serving: Serving) -> None:
    async with serving(deadline_seconds=1e-6) as client:
        response = await client.post("/predict", content=picture(), headers=_RAW)
        assert_problem(response, 504, "deadline_exceeded")
        assert 'whisker_shed_total{reason="deadline_exceeded"} 1.0' in (await client.get("/metrics")).text


def _scope() -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "raw_path": b"/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
