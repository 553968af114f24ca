"""Who may ask: pages of other sites may not, and with an API key only those who have it."""

import httpx
import pytest
from pydantic import SecretStr

from tests.app.conftest import Serving, picture
from tests.app.web.test_problems import assert_problem

pytestmark = pytest.mark.anyio

_RAW = {"Content-Type": "image/png"}
_KEY = "correct horse battery staple"


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
    ],
    ids=str,
)
async def test_other_sites_pages_send_nothing(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post("/predict", content=picture(), headers={**_RAW, **headers})
    assert_problem(answer, 403, "cross_site")
    assert (await client.post("/predict/batch", content=b"", headers=headers)).status_code == 403
    assert (await client.get("/health", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://whisker"}],
    ids=str,
)
async def test_own_pages_and_programs_are_answered(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/predict", content=picture(), headers={**_RAW, **headers})).status_code == 200


async def test_key_is_asked_for_everything_but_health_and_documentation(serving: Serving) -> None:
    async with serving(api_key=SecretStr(_KEY)) as client:
        for path in ("/health", "/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"):
            assert (await client.get(path)).status_code == 200
        for path in ("/", "/card", "/page/page.js", "/docs", "/docs/start.js", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        posts = ("/", "/predict", "/explain", "/answer", "/corrections", "/models/tiny", "/invocations")
        for path in (*posts, "/v1/models/tiny:predict", "/v2/models/tiny/infer", "/docs", "/health"):
            assert_problem(await client.post(path, content=picture(), headers=_RAW), 401, "unauthorized")
        for path in ("/model", "/metrics", "/nothing"):
            assert_problem(await client.get(path), 401, "unauthorized")
        document = (await client.get("/openapi.json")).json()
        assert document["security"] == [{name: [] for name in document["components"]["securitySchemes"]}]
        right = {"Authorization": f"Bearer {_KEY}"}
        assert (await client.post("/predict", content=picture(), headers={**_RAW, **right})).status_code == 200
        assert (await client.get("/metrics", headers=right)).status_code == 200


@pytest.mark.parametrize("given", ["", _KEY, f"Bearer {_KEY}x", f"Bearer {_KEY[:-1]}", f"Basic {_KEY}", "Bearer ä"])
async def test_wrong_key_is_refused(serving: Serving, given: str) -> None:
    async with serving(api_key=SecretStr(_KEY)) as client:
        headers = {**_RAW, "Authorization": given.encode("latin-1").decode("latin-1")}
        answer = await client.post("/predict", content=picture(), headers=httpx.Headers(headers, encoding="latin-1"))
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
