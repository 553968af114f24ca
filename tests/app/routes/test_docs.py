"""Swagger UI: everything it loads comes from here."""

import re

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_page_loads_only_assets_of_ours(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 8
    for address in addresses:
        assert not re.match(r"\w+:|//", address)
        asset = await client.get(httpx.URL("http://whisker/docs").join(address).path)
        assert asset.status_code == 200
        assert len(asset.content) > 100


async def test_start_script_names_the_document_and_no_third_party(client: httpx.AsyncClient) -> None:
    script = await client.get("/page/docs.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "validatorUrl: null" in script.text  # its default is a third party
    assert "://" not in script.text
    (document,) = re.findall(r'url: "([^"]+)"', script.text)
    assert (await client.get(f"/{document}")).json()["openapi"].startswith("3.")


async def test_page_forbids_what_is_not_ours(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert not re.search(r"<script>|<style|\son\w+=", page.text)  # nothing inline, which the policy would refuse


async def test_every_answer_forbids_guessing_content_types(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/health", "/nothing", "/docs/assets/swagger-ui.css"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/health")).headers["content-security-policy"].startswith("default-src 'none'")


async def test_there_is_no_second_page(client: httpx.AsyncClient) -> None:
    assert (await client.get("/redoc")).status_code == 404
