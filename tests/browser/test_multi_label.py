"""The page with a multi-label checkpoint: labels found, the reason of a doubt, and corrections of several labels."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.app.conftest import Server
from tests.browser.asking import ask, checked

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrected")


@pytest.fixture(scope="module")
def server(several_file: Path, corrected: Path) -> Iterator[Server]:
    server = Server(several_file, "--inference-workers=1", WHISKER_CORRECTIONS=str(corrected))
    yield server
    server.clean_up()


def test_labels_are_shown_above_the_bars_of_all_classes(page: Page, photos: list[Path]) -> None:
    ask(page, photos[0])
    expect(page.locator("#verdict")).to_have_text("2 labels")
    expect(page.locator("#badge")).to_contain_text("Confident, but untested")
    expect(page.locator("#labels li")).to_have_count(2)
    expect(page.locator("#labels li").first).to_contain_text("bird 9")
    expect(page.locator("#bars li")).to_have_count(3)
    expect(page.locator("#bars .found")).to_have_count(2)
    expect(page.locator("#visits button")).to_contain_text("red.pngbird, cat")
    page.locator("#heat-on").check()
    page.locator("#heat-class").select_option("dog")
    expect(page.locator("#photo")).to_have_attribute("aria-label", re.compile("for dog "))
    assert checked(page) == []


@pytest.mark.parametrize(
    ("labels", "verdict", "heading", "explanation"),
    [
        (["cat"], "confident", "cat", "No test has shown how often confident answers of this model are right."),
        ([], "confident", "None of the labels", "No test has shown"),
        (["cat"], "unsure", "Perhaps cat", "Likely, but below the threshold: dog."),
        ([], "unsure", "Perhaps none of the labels", "Likely, but below the threshold: dog."),
        (["cat"], "unknown", "Closest label: cat", "so this is probably wrong."),
    ],
)
def test_every_kind_of_answer_is_said_in_plain_words(  # noqa: PLR0917 - a row of the table
    page: Page, photos: list[Path], labels: list[str], verdict: str, heading: str, explanation: str
) -> None:
    answer: dict[str, Any] = {
        "label": "cat",
        "score": 0.983,
        "verdict": verdict,
        "unknown_score": 0.2,
        "predictions": [{"label": "cat", "score": 0.983}, {"label": "dog", "score": 0.617}],
        "image": {"width": 400, "height": 300, "format": "PNG"},
        "labels": [{"label": name, "score": 0.983} for name in labels],
        "model": {"name": "m", "version": "1"},
        "timing_ms": {"decode": 1, "queue": 1, "inference": 1, "total": 3},
    }
    if verdict == "unsure":
        answer["reason"] = explanation
    page.route("**/predict?*", lambda route: route.fulfill(json=answer))
    ask(page, photos[0])
    expect(page.locator("#verdict")).to_have_text(heading)
    expect(page.locator("#explanation")).to_contain_text(explanation)
    expect(page.locator("#labels")).to_be_visible(visible=bool(labels) and verdict != "unknown")
    assert checked(page) == []


def test_several_photos_have_their_labels_on_cards_and_in_files(page: Page, photos: list[Path]) -> None:
    ask(page, *photos)
    expect(page.locator("#csv")).to_be_enabled()
    expect(page.locator("#shots li").first).to_contain_text("bird, cat")
    with page.expect_download() as table:
        page.click("#csv")
    heading, first, *_ = Path(table.value.path()).read_text().splitlines()
    assert heading == '"photo","label","score","verdict","reason","labels","error"'
    assert first.split(",")[5] == '"bird|cat"'
    with page.expect_download() as plain:
        page.click("#json")
    document = json.loads(Path(plain.value.path()).read_text())
    assert [it["label"] for it in document[0]["labels"]] == ["bird", "cat"]


def test_correction_may_have_several_labels(page: Page, photos: list[Path], corrected: Path) -> None:
    ask(page, photos[2])
    page.get_by_text("Report a mistake").click()
    expect(page.get_by_label("cat", exact=True)).to_be_checked()  # what was found is a beginning
    page.get_by_label("Store a copy of this photo").check()
    for label in ("bird", "cat"):
        page.get_by_label(label, exact=True).uncheck()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#sent")).to_have_text("Choose at least one label.")
    for label in ("cat", "dog"):
        page.get_by_label(label, exact=True).check()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#thanks")).to_have_text("Thank you. The photo is stored as cat, dog.")
    assert [len([*(corrected / label).iterdir()]) for label in ("cat", "dog")] == [1, 1]
    assert not (corrected / "bird").exists()


def test_code_to_copy_prints_the_labels(page: Page) -> None:
    page.get_by_role("button", name="Python", exact=True).click()
    expect(page.locator("#snippet")).to_contain_text("labels])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_no_state_has_a_barrier_or_needs_sideways_scrolling(
    browser: Browser, server: Server, photos: list[Path], scheme: Any, width: int
) -> None:
    context: BrowserContext = browser.new_context(
        base_url=server.address, color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto("/card")
    assert checked(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto("/")
    ask(page, photos[0])
    expect(page.locator("#answer")).to_be_visible()
    page.get_by_text("Report a mistake").click()
    assert checked(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
