"""Who may ask: pages of other sites may not, and with an API key only those who have it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.app.conftest import Serving, picture
from tests.app.web.test_problems import assert_problem
from whisker.app.web.security import KeyCheck

pytestmark = pytest.mark.anyio

_RAW = {"Content-Type": "image/png"}
_KEY = "correct horse battery staple"


@pytest.fixture(scope="module")
async def keyed(serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(api_key=SecretStr(_KEY)) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://whisker"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://whisker:8000"},
        {"Origin": "null"},
        {"Origin": "http://[not an address"},
        {"Origin": ""},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "SAME-ORIGIN"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "http://whisker"), ("Origin", "https://evil.example")],
        [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://whisker"), ("Origin", "null")],
    ],
    ids=str,
)
async def test_other_sites_pages_send_nothing(
    client: httpx.AsyncClient, headers: dict[str, str] | list[tuple[str, str]]
) -> None:
    given = [*httpx.Headers(headers).multi_items(), *_RAW.items()]
    answer = await client.post("/predict", content=picture(), headers=given)
    assert_problem(answer, 403, "cross_site")
    assert (await client.post("/predict/batch", content=b"", headers=given)).status_code == 403
    for method in ("PUT", "PATCH", "DELETE", "ODD"):
        assert_problem(await client.request(method, "/predict", headers=given), 403, "cross_site")
    assert (await client.get("/health", headers=given)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://whisker"}],
    ids=str,
)
async def test_own_pages_and_programs_are_answered(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/predict", content=picture(), headers={**_RAW, **headers})).status_code == 200


async def test_key_is_asked_for_everything_but_health_and_documentation(keyed: httpx.AsyncClient) -> None:
    for path in ("/health", "/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"):
        assert (await keyed.get(path)).status_code == 200
    for path in ("/", "/card", "/page/page.js", "/docs", "/docs/start.js", "/openapi.json"):
        assert (await keyed.get(path)).status_code == 200
    posts = ("/", "/predict", "/explain", "/answer", "/corrections", "/models/tiny", "/invocations")
    for path in (*posts, "/v1/models/tiny:predict", "/v2/models/tiny/infer", "/docs", "/health"):
        assert_problem(await keyed.post(path, content=picture(), headers=_RAW), 401, "unauthorized")
    for path in ("/model", "/metrics", "/nothing"):
        assert_problem(await keyed.get(path), 401, "unauthorized")
    document = (await keyed.get("/openapi.json")).json()
    assert document["security"] == [{name: [] for name in document["components"]["securitySchemes"]}]
    right = {"Authorization": f"Bearer {_KEY}"}
    assert (await keyed.post("/predict", content=picture(), headers={**_RAW, **right})).status_code == 200
    assert (await keyed.get("/metrics", headers=right)).status_code == 200


@pytest.mark.parametrize("given", ["Bearer KEY", "bearer KEY", "BEARER KEY", "Bearer   KEY", "bEARER KEY \t"])
async def test_scheme_is_known_in_any_case(keyed: httpx.AsyncClient, given: str) -> None:
    """RFC 9110, section 11.1."""
    answer = await keyed.get("/metrics", headers={"Authorization": given.replace("KEY", _KEY)})
    assert answer.status_code == 200


def test_key_is_checked_before_there_is_a_request() -> None:
    check = KeyCheck(SecretStr(_KEY), "/healthy")
    scope: dict[str, Any] = {"method": "GET", "path": "/healthy", "headers": []}
    assert check.allows(scope)
    assert not check.allows(scope | {"method": "POST"})
    assert check.allows(scope | {"method": "POST", "headers": [(b"authorization", f"Bearer {_KEY}".encode())]})
    assert not check.allows(scope | {"path": "/metrics", "headers": [(b"authorization", _KEY.encode())]})
    assert KeyCheck(None).allows(scope | {"method": "POST"})


@pytest.mark.parametrize(
    "given", ["", _KEY, f"Bearer {_KEY}x", f"Bearer {_KEY[:-1]}", f"Basic {_KEY}", f"Bearer{_KEY}", "Bearer ä"]
)
async def test_wrong_key_is_refused(keyed: httpx.AsyncClient, given: str) -> None:
    headers = {**_RAW, "Authorization": given.encode("latin-1").decode("latin-1")}
    answer = await keyed.post("/predict", content=picture(), headers=httpx.Headers(headers, encoding="latin-1"))
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
