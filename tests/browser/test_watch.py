"""A training's page in a real browser, while it runs and when it has ended."""

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.asking import checked
from whisker.training.events.event import Event, Finished, Line, Plan
from whisker.training.job import Training
from whisker.training.watch.address import Address
from whisker.training.watch.server import watching

pytestmark = pytest.mark.browser

_LONG = ("Staffordshire_Bullterrier_" * 4)[:100]


def looked_at(page: Page) -> None:
    """Check every width in both modes of colour."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert checked(page) == []


def test_page_follows_a_training_to_its_report(browser: Browser, trained: Training, told: list[Event]) -> None:
    complaints = list[str]()
    context = browser.new_context()
    plain = browser.new_context(java_script_enabled=False)
    with watching(Address("127.0.0.1", 0), _LONG) as server:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text))
        page.goto(server.url)
        expect(page.locator("h1")).to_have_text(_LONG)
        server.watched.notice(Line(f"Warning: {_LONG}"))
        for event in told:
            if isinstance(event, Finished):
                break
            server.watched.notice(
                replace(event, name=_LONG, photos={_LONG: 1, "猫の写真 😀": 2}) if isinstance(event, Plan) else event
            )
        expect(page.locator("#now-title")).to_have_text("Writing the checkpoint and the report")
        expect(page.locator("polyline")).to_have_count(2)
        looked_at(page)
        without_scripts = plain.new_page()
        without_scripts.goto(server.url)
        expect(without_scripts.locator("#found")).to_contain_text("猫の写真 😀")
        server.watched.notice(next(event for event in told if isinstance(event, Finished)))
        server.watched.end()
        without_scripts.goto(server.url)
        for one in (page, without_scripts):
            expect(one.frame_locator("iframe").locator("h1")).to_have_text("shapes")
    expect(page.locator("#result")).to_contain_text(str(trained.report_file))
    expect(page.locator("#connection")).to_have_text("The training has ended.")
    looked_at(page)
    assert complaints == []
    context.close()
    plain.close()
