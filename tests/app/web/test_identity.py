"""Whom a request is for, and who sends it: said once, and under a name of the service's."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Scope

from tests.app.conftest import Serving, picture
from tests.app.web.test_problems import assert_problem
from whisker.app.errors import MalformedRequestError
from whisker.app.web.identity import require_clear_head

pytestmark = pytest.mark.anyio

_NAMES = "photos.example.org,*.example.net,strange.example.org:8443,[2001:db8::1]"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Host", "")],
        [("Host", "a"), ("Host", "a")],
        [("Host", "a"), ("Host", "b")],
        [("Host", "user@whisker")],
        [("Host", "whisker evil")],
        [("Host", "whisker/path")],
        [("Host", "http://whisker")],
        [("Host", "whisker:http")],
        [("Host", "[::1")],
        [("Host", "a,b")],
        [("Host", "ä")],
        [("Host", "a" * 300)],
        [("Host", "a"), ("Authorization", "Bearer a"), ("Authorization", "Bearer a")],
        [("Host", "a"), ("Content-Type", "image/png"), ("Content-Type", "image/jpeg")],
    ],
    ids=str,
)
async def test_ambiguous_head_is_400(client: httpx.AsyncClient, headers: list[tuple[str, str]]) -> None:
    for method, path in (("GET", "/livez"), ("POST", "/predict")):
        request = client.build_request(method, path)
        request.headers = httpx.Headers(headers, encoding="latin-1")
        answer = await client.send(request)
        assert_problem(answer, 400, "malformed_request")
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("host", ["a", "whisker:8000", "photo_s.example.org.", "127.0.0.1:1", "[::1]:8000", "whisker:"])
async def test_names_and_addresses_are_hosts(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/livez", headers={"Host": host})).status_code == 200


def test_only_the_oldest_http_may_name_no_host() -> None:
    scope: Scope = {"type": "http", "http_version": "1.0", "headers": []}
    assert require_clear_head(scope) == ""
    several: list[Scope] = [{"http_version": "1.1"}, {"headers": [(b"host", b"a"), (b"host", b"a")]}]
    for changed in several:
        with pytest.raises(MalformedRequestError):
            require_clear_head({**scope, **changed})


@pytest.fixture(scope="module")
async def named(serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(allowed_hosts=_NAMES) as client:
        yield client


async def test_other_names_than_the_operators_are_421(named: httpx.AsyncClient) -> None:
    for host in (
        "photos.example.org",
        "PHOTOS.example.org.",
        "photos.example.org:8000",
        "a.example.net",
        "a.b.example.net:1",
        "strange.example.org:8443",
        "[2001:DB8::1]:8000",
    ):
        answer = await named.post("/predict", content=picture(), headers={"Host": host, "Content-Type": "image/png"})
        assert answer.status_code == 200, host
    for host in (
        "evil.example",
        "photos.example.org.evil.example",
        "evilphotos.example.org",
        "example.net",
        "strange.example.org",
        "strange.example.org:8000",
        "127.0.0.1:8000",
        "localhost",
    ):
        for method, path in (("POST", "/predict"), ("GET", "/"), ("GET", "/model"), ("POST", "/livez")):
            assert_problem(await named.request(method, path, headers={"Host": host}), 421, "misdirected_request")


async def test_probes_ask_by_address(named: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/health", "/ping", "/v2/health/live", "/metrics"):
        for host in ("10.0.0.7:8000", "[fd00::7]:8000", "localhost:8000", "photos.example.org"):
            assert (await named.get(path, headers={"Host": host})).status_code == 200
        for host in ("evil.example", "10.0.0.7.evil.example:8000", "10.0.0"):
            assert_problem(await named.get(path, headers={"Host": host}), 421, "misdirected_request")
