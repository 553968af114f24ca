"""Request ids: taken from the client if sane, made up if not, in every answer."""

import httpx
import pytest

from whisker.app.logs import current_request_id

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("given", ["a", "0b5e9a3c-7d1f-4e6f-8a2b-4c6d8e0f1a2b", "1-67a:b/c=+._", "x" * 128])
async def test_sane_id_is_sent_back(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "né", 'quo"te'])
async def test_other_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/livez", headers={b"X-Request-ID": given.encode()})
    made_up = response.headers["x-request-id"]
    assert made_up != given
    assert len(made_up) == 32


async def test_each_request_gets_another_id(client: httpx.AsyncClient) -> None:
    ids = {(await client.get("/livez")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


async def test_problem_names_the_request(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing", headers={"X-Request-ID": "mine"})
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"


async def test_there_is_no_id_outside_a_request(client: httpx.AsyncClient) -> None:
    await client.get("/livez")
    assert current_request_id() == ""
