"""The page for labelling, by keyboard alone, with a key, on a phone's width too."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.conftest import Server, picture
from tests.browser.asking import checked
from whisker.app.review.store import ReviewStore

pytestmark = pytest.mark.browser

_KEY = "key-of-the-tests"
_COLOURS = ("red", "green", "blue", "olive", "navy", "pink")


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve with a folder in which pictures wait; give it and the address."""
    root = tmp_path_factory.mktemp("review")
    server = Server(
        tiny, "--inference-workers=1", WHISKER_REVIEW=str(root), WHISKER_API_KEY=_KEY, WHISKER_ENGINE="torch"
    )
    server.client.headers["Authorization"] = f"Bearer {_KEY}"
    for number, colour in enumerate(_COLOURS):
        data = picture(400, 300, colour=colour)
        server.client.post("/predict", content=data, headers={"Content-Type": "image/png"}).raise_for_status()
        while server.client.get("/review").json()["progress"]["waiting"] <= number:
            time.sleep(0.01)
    yield root, server.address
    server.clean_up()


@pytest.fixture
def page(browser: Browser, folder: tuple[Path, str]) -> Iterator[Page]:
    """Open the page and give the key; any error of a script fails the test."""
    page, complaints = browser.new_page(base_url=folder[1]), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.goto("/label")
    page.keyboard.type(_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_visible()
    yield page
    assert complaints == []
    page.close()


def test_photos_are_labelled_by_keyboard_alone(page: Page, folder: tuple[Path, str]) -> None:
    expect(page.locator("#suggestion")).to_contain_text("The model says: ")  # which comes after the photo
    suggested = page.text_content("#suggestion")
    assert suggested is not None
    shown = page.locator("#counts")
    page.keyboard.press("x")
    expect(page.locator("#status")).to_contain_text("Skipped. Next:")
    page.keyboard.press("u")
    expect(page.locator("#status")).to_contain_text("Undone. Next:")
    page.keyboard.press("Enter")
    expect(shown).to_have_text("1 of 6 labelled")
    page.keyboard.press("2")
    page.keyboard.press("n")  # at once, before the next photo is there
    expect(shown).to_have_text("3 of 6 labelled, 1 of them as none of these")
    page.keyboard.press("u")
    expect(shown).to_have_text("2 of 6 labelled")
    page.keyboard.press("n")
    page.keyboard.press("/")
    page.keyboard.type("red fox")
    page.keyboard.press("Enter")
    expect(shown).to_have_text("4 of 6 labelled, 1 of them as none of these")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(shown).to_have_text("4 of 5 labelled, 1 of them as none of these")
    page.keyboard.press("4")  # the class that is new
    expect(page.locator("#done-title")).to_have_text("All photos are labelled")
    with page.expect_download() as csv:
        page.click("#csv")
    assert Path(csv.value.path()).read_text().count("red fox") == 4  # twice in a line, as folder and as label
    labels = [it.labels for it in ReviewStore(folder[0], 1).labelled()]
    assert labels == [["red fox"], ["red fox"], [], ["cat"], [suggested.removeprefix("The model says: ")]]
    page.keyboard.press("u")
    page.keyboard.press("u")
    expect(page.locator("#work")).to_be_visible()


def test_every_state_is_accessible_and_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert checked(page) == []
    page.keyboard.press("Delete")
    assert checked(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#sure")).to_be_hidden()
    page.emulate_media(color_scheme="dark")
    page.keyboard.press("/")
    page.keyboard.type("x" * 100)
    expect(page.locator("#classes")).to_have_text(f"New class: {'x' * 100}")
    assert checked(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
