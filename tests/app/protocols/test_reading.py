"""Large bodies: read in another process as they would be in this one, whatever becomes of that process."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from tests.app.conftest import connected, picture
from whisker.app import time_limits
from whisker.app.errors import InvalidUploadError, NotReadyError, OverloadedError
from whisker.app.main import create_app
from whisker.app.protocols import bodies, reading_process
from whisker.app.protocols.bodies import reading_process_of
from whisker.app.protocols.reading import Order
from whisker.app.protocols.reading_process import ReadingProcess
from whisker.app.settings import Settings

pytestmark = pytest.mark.anyio

_KEY = "correct-horse-battery-staple"
_RIGHT = {"Authorization": f"Bearer {_KEY}"}
_JSON = {"Content-Type": "application/json", **_RIGHT}
_PNG = picture(colour="red")
_TEXT = base64.b64encode(_PNG).decode()
_PIXELS = bytes(range(240)) * 200 * 3
_PIXEL_HEAD = json.dumps(
    {
        "id": "ü",
        "inputs": [
            {
                "name": "image",
                "shape": [200, 240, 3],
                "datatype": "UINT8",
                "parameters": {"binary_data_size": len(_PIXELS)},
            }
        ],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 2, "binary_data": True}}],
    }
).encode()
_ORDER = Order("inputs", max_files=1, max_pixels=1_000_000)
_BODY = json.dumps({"inputs": _TEXT}).encode()


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHISKER_API_KEY", _KEY)
        app = create_app(settings.model_copy(update={"api_key": SecretStr(_KEY)}))
        async with app.router.lifespan_context(app):
            yield app
            process = reading_process_of(app)
            pid = process.pid
        assert pid is not None
        assert not psutil.pid_exists(pid)
        assert process.pid is None


@pytest.fixture(scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/", json.dumps({"inputs": _TEXT, "parameters": {"top_k": 2}}).encode(), _JSON),
        ("/", b"[" * 1_000, _JSON),
        ("/v1/models/tiny:predict", json.dumps({"instances": [{"b64": _TEXT}] * 3}).encode(), _JSON),
        ("/v1/models/tiny:predict", json.dumps({"instances": [{"b64": "!"}] * 3}).encode(), _JSON),
        (
            "/v2/models/tiny/infer",
            _PIXEL_HEAD + _PIXELS,
            {"Inference-Header-Content-Length": str(len(_PIXEL_HEAD)), **_RIGHT},
        ),
        ("/v2/models/tiny/infer", b"{}", {"Inference-Header-Content-Length": "3", **_RIGHT}),
    ],
)
async def test_answer_is_the_same_from_either_process(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes, headers: dict[str, str]
) -> None:
    answers = []
    for most in (0, 10**9):
        monkeypatch.setattr(bodies, "INLINE_BYTES", most)
        answers.append(await client.post(path, content=body, headers=headers))
    other, here = answers
    assert (other.status_code, _comparable(other)) == (here.status_code, _comparable(here))


async def test_event_loop_does_not_read_large_bodies(client: httpx.AsyncClient) -> None:
    numbers = b'{"a": [' + b",".join([b"9" * 4_300] * 4_400) + b"]}"  # 19 MB: 0.4 s of a core
    before = time.thread_time()
    answer = await client.post("/", content=numbers, headers=_JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_upload")
    assert time.thread_time() - before < 0.15


async def test_no_child_has_the_key_in_its_environment(client: httpx.AsyncClient, app: FastAPI) -> None:
    await client.post("/", content=b" " * 200_000, headers=_JSON)
    children = psutil.Process().children(recursive=True)
    assert reading_process_of(app).pid in [child.pid for child in children]
    for child in children:
        if child.status() != psutil.STATUS_ZOMBIE and "whisker" in " ".join(child.cmdline()):
            assert _KEY not in child.environ().values()


async def test_process_that_was_killed_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    process = ReadingProcess()
    assert (await process.read(_ORDER, [_BODY])).pictures == [_PNG]
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert (await process.read(_ORDER, [_BODY[:9], _BODY[9:]])).pictures == [_PNG]
    assert process.pid != first
    assert "A reading worker has ended" in caplog.text
    await process.close()
    assert not psutil.pid_exists(first)
    with pytest.raises(NotReadyError):
        await process.read(_ORDER, [_BODY])


async def test_process_that_stands_still_is_ended_in_time(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "INLINE_BYTES", 0)
    assert (await client.post("/", content=_BODY, headers=_JSON)).status_code == 200
    stopped = reading_process_of(app).pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(time_limits, "READING_SECONDS", 0.1)
        answer = await client.post("/", content=_BODY, headers=_JSON)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert not psutil.pid_exists(stopped)
    assert (await client.post("/", content=_BODY, headers=_JSON)).status_code == 200


async def test_body_that_nobody_waits_for_harms_no_other() -> None:
    process = ReadingProcess()
    gone = [asyncio.ensure_future(process.read(_ORDER, [b"{"])) for _ in range(3)]
    await asyncio.sleep(0)
    for reading in gone:
        reading.cancel()
    with pytest.raises(InvalidUploadError):
        await process.read(_ORDER, [b"{"])
    assert (await process.read(_ORDER, [_BODY])).pictures == [_PNG]
    await process.close()


async def test_no_process_to_be_had_is_503(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    pid = reading_process_of(app).pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "INLINE_BYTES", 0)
        patch.setattr(reading_process, "run_program", refuse)
        answer = await client.post("/", content=_BODY, headers=_JSON)
        assert (answer.status_code, answer.json()["code"]) == (503, OverloadedError.code)
        patch.undo()
        patch.setattr(bodies, "INLINE_BYTES", 0)
        assert (await client.post("/", content=_BODY, headers=_JSON)).status_code == 200


def _comparable(answer: httpx.Response) -> object:
    """Leave out what differs from one request to the next."""
    if "Inference-Header-Content-Length" in answer.headers:
        return answer.content
    document = answer.json()
    if isinstance(document, dict):
        document.pop("request_id", None)
        for prediction in document.get("predictions", []):
            prediction.pop("timing_ms", None)
    return document
