"""The pages in other surroundings: dark, narrow, without a script, behind a key, in Swagger UI; no third parties."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.app.conftest import Server
from tests.browser.asking import ask, checked

pytestmark = pytest.mark.browser


def test_page_asks_no_other_host(context: BrowserContext, server: Server, photos: list[Path]) -> None:
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    ask(page, photos[0])
    expect(page.locator("#answer")).to_be_visible()
    page.goto("/card")
    strangers = [url for url in asked if not url.startswith((server.address, "blob:"))]
    assert strangers == []


def test_swagger_ui_sends_chosen_files_as_forms(context: BrowserContext, photos: list[Path]) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme="dark")
    page.goto("/docs#/predict/predict")
    expect(page.locator("html.dark-mode")).to_be_attached()
    for path, operation in (("/predict", "predict"), ("/predict/batch", "predict_batch")):
        block = page.locator(f"#operations-predict-{operation}")
        if operation == "predict_batch":
            block.get_by_role("button").first.click()  # the address has opened the other one
        block.locator("input[type=file]").set_input_files(photos[0])
        with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
            block.get_by_role("button", name="Execute").click()
        assert sent.value.url.endswith((path, f"{path}?top_k=5"))
        assert sent.value.status == 200
        assert sent.value.request.headers["content-type"].startswith("multipart/form-data")
    assert checked(page) == []
    expect(page.get_by_role("link", name="Back to the page")).to_have_attribute("href", "./")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_no_state_has_a_barrier_or_needs_sideways_scrolling(
    browser: Browser, server: Server, photos: list[Path], scheme: Any, width: int
) -> None:
    context = browser.new_context(
        base_url=server.address, color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    )
    page = context.new_page()
    for path in ("/", "/card", "/docs/errors"):
        page.goto(path)
        assert checked(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto("/")
    ask(page, photos[0])
    expect(page.locator("#answer")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#explanation")).to_be_in_viewport()  # without scrolling, the examples included
    page.get_by_text("Report a mistake").click()
    assert checked(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_form_works_without_a_script(browser: Browser, server: Server, photos: list[Path]) -> None:
    context = browser.new_context(base_url=server.address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    ask(page, photos[0])
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("heading", name="The answer")).to_be_visible()
    expect(page.locator(".badge")).to_contain_text("Confident, but untested")
    expect(page.locator("meter")).to_have_count(3)
    context.close()


def test_key_is_asked_for_and_used(browser: Browser, tiny: Path, photos: list[Path]) -> None:
    server = Server(tiny, "--inference-workers=1", WHISKER_API_KEY="a-secret-of-the-test")
    try:
        page = browser.new_page(base_url=server.address)
        page.goto("/")
        ask(page, photos[0])
        page.get_by_label("API key").fill("a-secret-of-the-test")
        assert checked(page) == []
        page.get_by_role("button", name="Use key").click()
        expect(page.locator("#answer")).to_be_visible()
        for language, header in (("curl", "Authorization: Bearer KEY"), ("Python", 'api_key="KEY"')):
            page.get_by_role("button", name=language, exact=True).click()
            expect(page.locator("#snippet")).to_contain_text(header)
        page.close()
    finally:
        server.clean_up()
