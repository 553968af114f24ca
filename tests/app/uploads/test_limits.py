"""Limits: bytes, uploads at once, and time; each refused early, each leaving nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message, Scope

from tests.app.conftest import Serving, picture
from tests.app.web.test_problems import assert_problem
from whisker.app.errors import OverloadedError
from whisker.app.main import create_app
from whisker.app.metrics import Metrics
from whisker.app.routes.state import state_of
from whisker.app.settings import Settings
from whisker.app.uploads.slots import UploadSlots

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
    async with serving(max_in_flight=1) as client:
        posts = [asyncio.create_task(client.post("/predict", content=picture(), headers=_RAW)) for _ in range(5)]
        await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)  # the others are refused meanwhile
        for path in ("/health", "/readyz", "/livez", "/metrics"):
            assert (await client.get(path)).status_code == 200
        answered, *refused = sorted([await post for post in posts], key=lambda answer: answer.status_code)
        assert answered.status_code == 200
        for answer in refused:
            assert_problem(answer, 503, "overloaded")
            assert answer.headers["retry-after"] == "1"
        assert (await client.post("/predict", content=picture(), headers=_RAW)).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert 'whisker_problems_total{code="overloaded"} 4.0' in metrics
        assert "whisker_in_flight 0.0" in metrics


async def test_client_who_is_slow_keeps_nobody_out(serving: Serving) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield picture()[:20]
        begun.set()
        await release.wait()
        yield picture()[20:]

    async with serving(max_in_flight=1) as client:
        first = asyncio.create_task(client.post("/predict", content=slow(), headers=_RAW))
        await begun.wait()
        assert (await client.post("/predict", content=picture(), headers=_RAW)).status_code == 200
        release.set()
        assert (await first).status_code == 200


async def test_upload_that_comes_too_slowly_is_given_up(serving: Serving) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield picture()[:20]
        await asyncio.Event().wait()

    async with serving(receive_seconds=0.05) as client:
        answer = await client.post("/predict", content=slow(), headers=_RAW)
        assert_problem(answer, 408, "request_timeout")
        assert answer.headers["connection"] == "close"


async def test_slowest_upload_gives_way_when_memory_is_full(serving: Serving) -> None:
    begun = asyncio.Event()
    data = picture()

    async def silent() -> AsyncIterator[bytes]:
        yield data[:-1]
        begun.set()
        await asyncio.Event().wait()

    async with serving(max_held_bytes=len(data) + 1) as client:
        first = asyncio.create_task(client.post("/predict", content=silent(), headers=_RAW))
        await begun.wait()
        assert (await client.post("/predict", content=data, headers=_RAW)).status_code == 200
        assert_problem(await first, 503, "overloaded")
        assert (await client.post("/predict", content=data, headers=_RAW)).status_code == 200


async def test_upload_that_finds_no_memory_is_refused(serving: Serving) -> None:
    async with serving(max_held_bytes=100) as client:
        assert_problem(await client.post("/predict", content=picture(), headers=_RAW), 503, "overloaded")


async def test_retry_after_is_told_from_how_fast_uploads_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four uploads took 0.6 s each: two in flight are through in the second after the next."""
    now = 100.0
    monkeypatch.setattr("whisker.app.uploads.slots.time.monotonic", lambda: now)
    slots = UploadSlots(2, Metrics())
    assert slots.refusal().retry_seconds == 1
    for _ in range(4):
        slot = slots.acquire()
        slot.complete()
        slot.close()
        now += 0.6
    slots.acquire()
    slots.acquire()
    with pytest.raises(OverloadedError) as refusal:
        slots.acquire()
    assert refusal.value.retry_seconds == 2


async def test_many_refusals_have_a_line_together(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    slots = UploadSlots(1, Metrics(), summary_seconds=0.01)
    for number in range(15):
        slots.log_refusal(f"request {number}")
    while "More uploads were refused" not in caplog.text:  # noqa: ASYNC110 - a line of the log is no event
        await asyncio.sleep(0.01)
    assert caplog.text.count("An upload was refused") == 10
    assert vars(caplog.records[-1])["uploads"] == 5
    slots.log_refusal("another")
    assert caplog.text.count("An upload was refused") == 11


def test_upload_that_was_slow_needs_a_slot_again() -> None:
    slots = UploadSlots(1, Metrics())
    slow = slots.acquire()
    with pytest.raises(OverloadedError):
        slots.acquire()
    slow.release_until_complete()
    quick = slots.acquire()
    with pytest.raises(OverloadedError):
        slow.complete()
    slow.close()
    quick.complete()
    quick.release_until_complete()
    assert slots.are_full
    quick.close()
    assert not slots.are_full


def test_pictures_of_a_request_take_a_slot_each() -> None:
    slots = UploadSlots(8, Metrics())
    form, lone = slots.acquire(), slots.acquire()
    form.hold(5)  # of six that forms may have
    form.hold(5)
    other = slots.acquire()
    with pytest.raises(OverloadedError):
        other.hold(2)
    slots.acquire()
    assert slots.are_full
    for slot in (form, form, lone, other):
        slot.close()
    form.hold(100)
    assert [slots.acquire() for _ in range(7)]
    assert slots.are_full


def test_form_larger_than_all_slots_has_them_when_it_is_alone() -> None:
    slots = UploadSlots(4, Metrics())
    form = slots.acquire()
    form.hold(32)
    assert slots.are_full
    form.close()
    slots.acquire()
    with pytest.raises(OverloadedError):
        slots.acquire().hold(32)


async def test_form_beyond_the_limit_is_refused_whole(serving: Serving) -> None:
    files = [("file", (f"{number}.png", picture())) for number in range(3)]
    async with serving(max_in_flight=3) as client:
        assert (await client.post("/predict/batch", files=files)).status_code == 200
        slot = state_of(client._transport.app).slots.acquire()  # type: ignore[attr-defined]  # noqa: SLF001 - the application
        answer = await client.post("/predict/batch", files=files)
        assert_problem(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        assert (await client.post("/predict", content=picture(), headers=_RAW)).status_code == 200
        slot.close()
        assert (await client.post("/predict/batch", files=files)).status_code == 200


async def test_refused_uploads_give_their_slots_back(serving: Serving) -> None:
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
        text = state_of(app).metrics.render().decode()
    assert sent[0]["status"] == 499
    assert 'whisker_problems_total{code="client_gone"} 1.0' in text
    assert "whisker_in_flight 0.0" in text


async def test_deadline_is_counted(serving: Serving) -> None:
    async with serving(deadline_seconds=1e-6) as client:
        response = await client.post("/predict", content=picture(4000, 3000), headers=_RAW)  # no matter of microseconds
        assert_problem(response, 504, "deadline_exceeded")
        assert 'whisker_problems_total{code="deadline_exceeded"} 1.0' in (await client.get("/metrics")).text


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
        "headers": [(b"host", b"whisker"), (b"content-type", b"image/png")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
