"""Who may ask: pages of other sites may not, and with an API key only those who have it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.app.conftest import Serving, connected, picture
from tests.app.web.test_problems import assert_problem
from whisker.app.main import create_app
from whisker.app.settings import Settings
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


_SHOP = "https://shop.example"
_FROM_SHOP = {"Origin": _SHOP, "Sec-Fetch-Site": "cross-site"}
_ASKING = {**_FROM_SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture(scope="module")
def shopping(settings: Settings) -> httpx.AsyncClient:
    """Give a client of an application with named origins and a key; it is not started, so it refuses uploads."""
    named = {"cors_origins": f"{_SHOP},http://localhost:3000", "api_key": SecretStr(_KEY)}
    return connected(create_app(settings.model_copy(update=named)))


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain", "/", "/v1/models/tiny:predict", "/nothing"])
async def test_named_sites_pages_are_told_what_they_may_send(shopping: httpx.AsyncClient, path: str) -> None:
    answer = await shopping.options(path, headers=_ASKING)
    assert (answer.status_code, answer.content) == (204, b"")
    told = {name: answer.headers[f"access-control-{name}"] for name in ("allow-origin", "allow-methods", "max-age")}
    assert told == {"allow-origin": _SHOP, "allow-methods": "GET, HEAD, POST", "max-age": "7200"}
    taken = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-request-id", "traceparent"} <= {*taken}
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_named_sites_pages_get_answers_and_errors(shopping: httpx.AsyncClient, site: str) -> None:
    for headers, code in (({}, 401), ({"Authorization": f"Bearer {_KEY}"}, 503)):
        asked = {**_FROM_SHOP, "Sec-Fetch-Site": site, **headers}
        answer = await shopping.post("/predict", content=picture(), headers=asked)
        assert answer.status_code == code
        assert answer.headers["access-control-allow-origin"] == _SHOP
        assert {"X-Request-ID", "Retry-After"} <= {*answer.headers["access-control-expose-headers"].split(", ")}
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers
    assert (await shopping.get("/livez", headers=_FROM_SHOP)).headers["access-control-allow-origin"] == _SHOP
    assert (await shopping.get("/livez")).headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        ("https://evil.example", "/predict"),
        ("http://shop.example", "/predict"),
        ("https://shop.example:8443", "/predict"),
        ("https://shop.example.evil.example", "/predict"),
        ("null", "/predict"),
        (_SHOP, "/corrections"),
        (_SHOP, "/corrections/"),
        (_SHOP, "/%63orrections"),
        (_SHOP, "/answer"),
    ],
)
async def test_others_and_private_paths_stay_closed(shopping: httpx.AsyncClient, origin: str, path: str) -> None:
    key = {"Authorization": f"Bearer {_KEY}"}
    answers = [
        await shopping.options(path, headers={**_ASKING, **key, "Origin": origin}),
        await shopping.post(path, content=picture(), headers={**_FROM_SHOP, **key, "Origin": origin}),
        await shopping.post(path, content=picture(), headers=[("Origin", _SHOP), ("Origin", origin), *key.items()]),
    ]
    assert [answer.status_code for answer in answers[1:]] == [403, 403]
    assert answers[0].status_code in (307, 405)
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/card", "/metrics", "/docs", "/page/page.js", "/examples/0", "/docs/errors"])
async def test_pages_are_not_for_other_sites(shopping: httpx.AsyncClient, path: str) -> None:
    answer = await shopping.get(path, headers=_FROM_SHOP)
    assert "access-control-allow-origin" not in answer.headers


async def test_any_site_may_be_named(settings: Settings) -> None:
    async with connected(create_app(settings.model_copy(update={"cors_origins": "*"}))) as client:
        for origin in ("https://a.example", "null"):
            answer = await client.post("/predict", content=picture(), headers={**_FROM_SHOP, "Origin": origin})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (503, "*")
            assert_problem(await client.post("/corrections", headers={"Origin": origin}), 403, "cross_site")


async def test_no_site_is_named_at_first(client: httpx.AsyncClient) -> None:
    answer = await client.options("/predict", headers=_ASKING)
    assert_problem(answer, 405, "method_not_allowed")
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


async def test_key_is_asked_for_everything_but_health_and_documentation(keyed: httpx.AsyncClient) -> None:
    for path in ("/health", "/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"):
        assert (await keyed.get(path)).status_code == 200
    for path in ("/", "/card", "/page/page.js", "/docs", "/page/docs.js", "/openapi.json"):
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
