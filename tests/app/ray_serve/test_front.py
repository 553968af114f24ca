"""What Ray's proxy does with uploads and answers, with a function in the place of Ray that fails as Ray does."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.app.conftest import picture
from whisker.app.ray_serve.front import Front
from whisker.app.ray_serve.relay import is_repeatable
from whisker.app.settings import Settings

pytestmark = pytest.mark.anyio

HEAD: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"x-content-type-options", b"nosniff"), (b"x-request-id", b"one"), (b"x-request-id", b"two")],
}


class Proxy:
    """Send, for each attempt, its messages, as Ray does; after none, or half of them, Ray returns without a word."""

    def __init__(self, *attempts: list[Message]) -> None:
        self.received = list[tuple[Scope, bytes]]()
        self._attempts = iter(attempts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.received.append((scope, (await receive())["body"]))
        for message in next(self._attempts):
            await send(message)


def body(text: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


@contextmanager
def client_of(app: ASGIApp, **changes: float) -> Iterator[httpx.AsyncClient]:
    front = Front(app, settings=Settings(**changes))  # type: ignore[arg-type]  # settings of numbers alone
    yield httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://whisker")


@pytest.mark.parametrize("lost", [[], [HEAD], [HEAD, body(b"ha", more=True)]], ids=["none", "head", "half"])
async def test_prediction_is_asked_for_again_when_its_replica_ends(lost: list[Message]) -> None:
    proxy, data = Proxy(lost, [HEAD, body(b"half", more=True), body(b" and half")]), picture()
    with client_of(proxy) as client:
        response = await client.post("/predict", content=data)
    assert (response.status_code, response.text) == (200, "half and half")
    assert [received for _, received in proxy.received] == [data, data]


@pytest.mark.parametrize(
    ("method", "path", "attempts"),
    [
        ("GET", "/model", 2),
        ("POST", "/predict/batch", 2),
        ("POST", "/v1/models/mine:predict", 2),
        ("POST", "/corrections", 1),
        ("PUT", "/review/1f/label", 1),
        ("POST", "/models/mine/load", 1),
    ],
)
async def test_only_what_changes_nothing_is_asked_for_again(method: str, path: str, attempts: int) -> None:
    proxy = Proxy([], [], [])
    with client_of(proxy) as client:
        response = await client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.headers["retry-after"] == "1"
    assert len(proxy.received) == attempts


@pytest.mark.parametrize(("status", "code"), [(429, "overloaded"), (503, "not_ready"), (404, "not_ready")])
async def test_refusals_of_ray_are_said_in_the_services_words(status: int, code: str) -> None:
    proxy = Proxy([{"type": "http.response.start", "status": status, "headers": []}, body(b"Ray's own words")])
    with client_of(proxy) as client:
        response = await client.post("/predict", content=b"photo")
    assert (response.status_code, response.json()["code"]) == (503, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert len(proxy.received) == 1


async def test_deadline_holds_however_long_no_replica_is_free() -> None:
    async def wait(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with client_of(wait, deadline_seconds=0.05) as client:
        response = await client.post("/predict", content=b"photo")
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


async def test_body_that_is_too_large_is_not_held_for_a_replica() -> None:
    proxy = Proxy()
    with client_of(proxy, max_body_bytes=10) as client:
        response = await client.post("/predict", content=b"01234567890")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert proxy.received == []


async def test_client_may_name_its_request_and_tell_ray_nothing() -> None:
    proxy = Proxy([HEAD, body(b"")])
    headers = {"X-Request-ID": "mine", "X-Request-Timeout-Seconds": "0", "X-Request-Disconnect-Disabled": "?1"}
    with client_of(proxy) as client:
        response = await client.get("/model", headers=headers)
    assert response.headers.get_list("x-request-id") == ["mine"]
    given = [pair for pair in proxy.received[0][0]["headers"] if pair[0].startswith(b"x-request-")]
    assert given == [(b"x-request-id", b"mine")]


async def test_long_answer_is_passed_on_as_it_comes() -> None:
    part = bytes(3_000_000)
    proxy = Proxy([HEAD, *[body(part, more=True)] * 2, body(b"end")])
    with client_of(proxy) as client:
        response = await client.get("/review/export.zip")
    assert len(response.content) == 6_000_003


async def test_health_of_the_proxy_itself_is_rays_to_tell() -> None:
    proxy = Proxy([{"type": "http.response.start", "status": 503, "headers": []}, body(b"draining")])
    with client_of(proxy) as client:
        assert (await client.get("/-/healthz")).text == "draining"


@pytest.mark.parametrize("path", ["/", "/predict", "/explain", "/invocations", "/v2/models/mine/infer", "/models/mine"])
def test_predictions_of_every_protocol_are_repeatable(path: str) -> None:
    assert is_repeatable({"method": "POST", "path": path})
