"""Redirects lead to the same place through every proxy."""

from urllib.parse import urljoin

import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path", "location", "target"),
    [
        ("POST", "/predict/", "../predict", "/predict"),
        ("POST", "/predict/?top_k=1&explain=%C3%A4", "../predict?top_k=1&explain=%C3%A4", "/predict"),
        ("POST", "/predict/batch/", "../batch", "/predict/batch"),
        ("POST", "/v1/models/tiny:predict/", "../tiny%3Apredict", "/v1/models/tiny:predict"),
        ("GET", "/docs/", "../docs", "/docs"),
        ("GET", "/docs/assets", "assets/", "/docs/assets/"),
        ("GET", "/page", "page/", "/page/"),
        ("GET", "/v2/models/%0D%0Aa/", "../%0D%0Aa", "/v2/models/%0D%0Aa"),
    ],
)
async def test_redirect_is_relative(
    client: httpx.AsyncClient, method: str, path: str, location: str, target: str
) -> None:
    answer = await client.request(method, path, headers={"Host": "internal:8000"})
    assert (answer.status_code, answer.headers["location"]) == (307, location)
    public = urljoin(f"https://photos.example.org/whisker{path}", answer.headers["location"])
    assert httpx.URL(public).path == httpx.URL(f"https://photos.example.org/whisker{target}").path
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["//", "/nothing/", "/predict//", "//predict/", "//evil.example/", "/nothing"])
async def test_there_is_no_way_to_what_is_not_there(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(httpx.URL("http://whisker").copy_with(raw_path=path.encode()))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
