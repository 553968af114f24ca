"""The page in a real browser: every way to send photos and every kind of answer, by mouse and by keyboard."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks.reliability.video_pictures import heic
from tests.app.conftest import Server, picture
from tests.browser.asking import ask, checked
from tests.pictures import draw, encode, exif

pytestmark = pytest.mark.browser

_GIVE = """([kind, name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (it) => it.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
    : new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
  document.body.dispatchEvent(event);
}"""
_PIXELS = """(id) => {
  const canvas = document.getElementById(id);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.reduce((sum, value) => (sum * 31 + value) % 1000003, 7);
}"""


def give(page: Page, kind: str, data: bytes, name: str = "photo.png", type_: str = "image/png") -> None:
    page.evaluate(_GIVE, [kind, name, type_, base64.b64encode(data).decode()])


def test_chosen_photo_is_answered_with_bars(page: Page, server: Server, photos: list[Path]) -> None:
    ask(page, photos[0])
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#bars li")).to_have_count(3)
    expect(page.locator("#verdict")).to_be_focused()
    expect(page.locator("#seen")).to_have_text("red.png, 400 \u00d7 300 pixels")
    expect(page.locator("#timing")).to_contain_text("Model tiny")
    expect(page.locator("#status")).to_be_empty()
    answer = server.client.post(
        "/predict", content=photos[0].read_bytes(), headers={"Content-Type": "image/png"}
    ).json()
    expect(page.locator("#bars li").first).to_contain_text(answer["label"])
    expect(page.locator("#verdict")).to_contain_text(answer["label"])


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_photo_is_taken_wherever_it_is_dropped_or_pasted(page: Page, kind: str) -> None:
    give(page, kind, picture())
    expect(page.locator("#bars li")).to_have_count(3)


def test_example_is_asked_for_by_a_click(page: Page) -> None:
    page.get_by_role("button", name="Example photo 1").click()
    expect(page.locator("#answer")).to_be_visible()


def test_several_photos_are_cards_to_download(page: Page, photos: list[Path], tmp_path: Path) -> None:
    damaged = tmp_path / "=damaged.png"
    damaged.write_bytes(picture()[:60])
    ask(page, *photos, damaged)
    expect(page.locator("#many-title")).to_have_text("4 photos")
    expect(page.locator("#shots li")).to_have_count(4)
    expect(page.locator("#shots")).to_contain_text("This picture is damaged or incomplete.")
    expect(page.locator("#shots a")).to_have_attribute("href", "docs/errors#undecodable_picture")
    expect(page.locator("#many-title")).to_be_focused()
    assert checked(page) == []
    with page.expect_download() as csv:
        page.click("#csv")
    lines = Path(csv.value.path()).read_text().splitlines()
    assert lines[0] == '"photo","label","score","verdict","reason","error"'
    assert [line.split(",")[0] for line in lines[1:]] == ['"red.png"', '"green.png"', '"blue.png"', '"\'=damaged.png"']
    with page.expect_download() as plain:
        page.click("#json")
    document = json.loads(Path(plain.value.path()).read_text())
    assert document[0]["label"] in {"bird", "cat", "dog"}
    assert document[3]["error"]["code"] == "undecodable_picture"
    page.locator("#shots button", has_text="blue.png").click()
    expect(page.locator("#seen")).to_contain_text("blue.png")
    page.get_by_role("button", name="Back to all photos").click()
    expect(page.locator("#many-title")).to_be_focused()
    page.locator("#visits button", has_text="4 photos").click()
    expect(page.locator("#answer")).to_be_hidden()
    expect(page.locator("#shots li")).to_have_count(4)


def test_many_photos_are_sorted_filtered_and_shown_in_parts(page: Page, photos: list[Path], tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(30)]
    for file in files:
        file.write_bytes(photos[0].read_bytes())
    kinds = (("cat", "confident"), ("dog", "unsure"), ("w" * 100, "unknown"))
    asked = [0]

    def answer(route: Any) -> None:
        number = asked[0]
        asked[0] += 1
        label, verdict = kinds[number % 3]
        route.fulfill(json=ANSWER | {"label": label, "verdict": verdict, "score": 0.5 + number / 100})

    page.route("**/predict?*", answer)
    page.set_viewport_size({"width": 360, "height": 800})
    page.reload()  # how many are shown at once depends on the screen
    ask(page, *files)
    expect(page.locator("#csv")).to_be_enabled()
    expect(page.locator("#kinds button")).to_have_text(
        ["All (30)", "Confident, but untested (10)", "Not sure (10)", "Unlike the training photos (10)"]
    )
    expect(page.locator("#shots li")).to_have_count(12)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.documentElement.scrollHeight") < 4_000
    page.get_by_role("button", name="Show 12 more of 18").click()
    expect(page.locator("#shots li")).to_have_count(24)
    page.locator("#order").select_option("high")
    expect(page.locator("#shots .said").first).to_contain_text("79.0")
    page.locator("#order").select_option("verdict")
    expect(page.locator("#shots .badge").first).to_contain_text("Unlike the training photos")
    page.locator("#class").select_option("dog")
    expect(page.locator("#shots li")).to_have_count(10)
    page.get_by_role("button", name="Confident, but untested (10)").click()
    expect(page.locator("#shots li")).to_have_count(0)
    assert page.locator("#class").locator("option").all_text_contents() == ["All classes", "cat (10)", "dog (10)"]


def test_photo_that_the_browser_cannot_show_is_drawn_by_the_service(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "phone.heic"
    photo.write_bytes(heic())
    ask(page, photo)
    expect(page.locator("#seen")).to_have_text("phone.heic, 200 \u00d7 160 pixels")
    assert page.evaluate("(({ width, height }) => [width, height])(document.getElementById('photo'))") == [200, 160]


def test_what_is_no_photo_is_explained(page: Page) -> None:
    give(page, "drop", b"a text", "notes.txt", "text/plain")
    expect(page.get_by_role("alert")).to_have_text(
        "notes.txtThis file is not a supported picture. Choose a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF file. "
        "What to do"
    )
    link = page.get_by_role("link", name="What to do")
    expect(link).to_have_attribute("href", "docs/errors#unsupported_picture_format")
    expect(page.locator("#answer")).to_be_hidden()
    assert checked(page) == []


def test_service_that_is_gone_is_explained(page: Page, context: BrowserContext, photos: list[Path]) -> None:
    context.set_offline(True)
    ask(page, photos[0])
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached. Check your connection")
    context.set_offline(False)
    ask(page, photos[0])
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#answer")).to_be_visible()


def test_busy_service_is_asked_again(page: Page, photos: list[Path]) -> None:
    refusals = [0]

    def refuse(route: Any) -> None:
        refusals[0] += 1
        if refusals[0] > 1:
            route.continue_()
            return
        body = json.dumps({"code": "overloaded", "detail": "x"})
        route.fulfill(status=503, headers={"Retry-After": "1"}, content_type="application/problem+json", body=body)

    page.route("**/predict?*", refuse)
    ask(page, photos[0])
    expect(page.locator("#status")).to_contain_text("Busy; trying again")
    expect(page.locator("#answer")).to_be_visible()


ANSWER: dict[str, Any] = {
    "label": "cat",
    "score": 0.983,
    "verdict": "confident",
    "unknown_score": 0.2,
    "predictions": [{"label": "cat", "score": 0.983}, {"label": "dog", "score": 0.017}],
    "image": {"width": 400, "height": 300, "format": "PNG"},
    "model": {"name": "m", "version": "1"},
    "timing_ms": {"decode": 1, "queue": 1, "inference": 1, "total": 3},
}


def test_verdicts_are_said_in_plain_words(page: Page, photos: list[Path]) -> None:
    visit, given = page.locator("#visits li").first, [ANSWER]
    page.route("**/predict?*", lambda route: route.fulfill(json=given[0]))
    for verdict, badge, words, why in (
        ("confident", "Confident, but untested", "cat98.3 %", "No test has shown how often confident answers"),
        ("unsure", "Not sure", "Perhaps cat98.3 %", "The score is low."),
        ("unknown", "Unlike the training photos", "Closest class: cat98.3 %", "so this is probably wrong."),
    ):
        given[0] = ANSWER | {"verdict": verdict} | ({"reason": why} if verdict == "unsure" else {})
        ask(page, photos[0])
        expect(page.locator("#badge")).to_contain_text(badge)
        expect(page.locator("#verdict")).to_have_text(words)
        expect(page.locator("#explanation")).to_contain_text(why)
        expect(visit).to_contain_text(badge)
    assert checked(page) == []


def test_heat_map_follows_slider_and_class(page: Page, photos: list[Path]) -> None:
    ask(page, photos[0])
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#heat")).to_be_hidden()
    without = page.evaluate(_PIXELS, "photo")
    page.locator("#heat-on").check()
    expect(page.locator("#photo")).to_have_attribute("aria-label", re.compile("strongest evidence"))
    strong = page.evaluate(_PIXELS, "photo")
    page.locator("#opacity").fill("0")
    expect(page.locator("#opacity-value")).to_have_text("0 %")
    assert without != strong
    page.locator("#opacity").fill("70")
    expect(page.locator("#opacity-value")).to_have_text("70 %")
    assert page.evaluate(_PIXELS, "photo") == strong
    first = page.locator("#heat-class").input_value()
    other = next(label for label in ("bird", "cat", "dog") if label != first)
    with page.expect_response(f"**/predict?*explain={other}"):
        page.locator("#heat-class").select_option(other)
    expect(page.locator("#photo")).to_have_attribute("aria-label", re.compile(f"for {other} "))
    assert page.evaluate(_PIXELS, "photo") != strong
    page.locator("#heat-on").uncheck()
    expect(page.locator("#photo")).to_have_attribute("aria-label", "The photo")
    assert page.evaluate(_PIXELS, "photo") == without


def test_photo_can_be_seen_as_the_network_sees_it(page: Page, photos: list[Path]) -> None:
    ask(page, photos[0])
    page.get_by_label("Show the model\u2019s 32 \u00d7 32 input").check()
    assert page.evaluate("[photo.width, photo.height]") == [32, 32]


def test_large_photo_is_shrunk_and_turned_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "phone.jpg"
    large.write_bytes(encode(draw("rings", 0, (2400, 1600)), "JPEG", exif=exif(6)))
    with page.expect_request("**/predict?*") as request:
        ask(page, large)
    answer = request.value.response()
    assert answer is not None
    assert answer.json()["image"] == {"width": 683, "height": 1024, "format": "JPEG"}
    expect(page.locator("#seen")).to_have_text("phone.jpg, 1600 \u00d7 2400 pixels")


def test_transparent_parts_of_a_large_picture_are_as_the_service_sees_them(page: Page, tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    clear.write_bytes(encode(Image.new("RGBA", (1500, 1500), (0, 0, 0, 0))))
    ask(page, clear)
    expect(page.locator("#answer")).to_be_visible()
    pixel = "[...document.getElementById('photo').getContext('2d').getImageData(5, 5, 1, 1).data]"
    assert page.evaluate(pixel) == [255, 255, 255, 255]


def test_answer_that_comes_late_does_not_take_the_place_of_a_newer_one(page: Page, photos: list[Path]) -> None:
    held: list[Any] = []

    def hold_the_first(route: Any) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route("**/predict?*", hold_the_first)
    ask(page, photos[0])
    expect(page.locator("#status")).to_have_text("Classifying …")
    ask(page, photos[1])
    expect(page.locator("#seen")).to_contain_text("green.png")
    with page.expect_response("**/predict?*"):
        held[0].continue_()
    page.wait_for_timeout(200)  # for what must not happen there is nothing to wait for
    expect(page.locator("#seen")).to_contain_text("green.png")
    expect(page.locator("#visits li")).to_have_count(1)


def test_looking_at_one_of_many_stops_none_of_the_others(page: Page, photos: list[Path]) -> None:
    held: list[Any] = []
    page.route("**/predict?*", lambda route: held.append(route) if len(held) < 1 else route.continue_())
    ask(page, *photos)
    page.locator("#shots button").first.click()
    expect(page.locator("#answer")).to_be_visible()
    held[0].continue_()
    expect(page.locator("#shots button")).to_have_count(3)
    expect(page.locator("#csv")).to_be_enabled()


def test_keyboard_alone_is_enough(page: Page, photos: list[Path]) -> None:
    with page.expect_file_chooser() as chooser:  # from the first key on: asked for with the last, it can come too late
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "photos":
                break
        outline = page.evaluate("getComputedStyle(document.querySelector('label[for=photos]')).outlineStyle")
        page.keyboard.press("Enter")
    assert outline == "solid"
    chooser.value.set_files(photos[0])
    expect(page.locator("#verdict")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#heat-on")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(page.locator("#heat-class")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#opacity")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#opacity-value")).to_have_text("71 %")


def test_visit_is_listed_until_it_is_cleared(page: Page, photos: list[Path]) -> None:
    ask(page, photos[0])
    expect(page.locator("#verdict")).to_be_focused()
    ask(page, photos[1])
    expect(page.locator("#visits li")).to_have_count(2)
    page.locator("#visits button").last.click()  # the latest comes first
    expect(page.locator("#seen")).to_contain_text("red.png")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator("#answer")).to_be_hidden()
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_wrong_answer_is_corrected_with_consent(page: Page, photos: list[Path], folder_of_corrections: Path) -> None:
    ask(page, photos[2])
    page.get_by_text("Report a mistake").click()
    page.get_by_label("Correct class").select_option("dog")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#consent:invalid")).to_be_focused()  # the browser asks for the box to be ticked
    page.get_by_label("Store a copy of this photo").check()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#thanks")).to_have_text("Thank you. The photo is stored as dog.")
    expect(page.get_by_text("Report a mistake")).to_be_hidden()  # it cannot be sent again
    assert len([*(folder_of_corrections / "dog").iterdir()]) == 1
    ask(page, photos[0])
    expect(page.get_by_text("Report a mistake")).to_be_visible()


def test_code_to_copy_has_the_real_address(page: Page, server: Server) -> None:
    for language, word in (
        ("curl", f"curl -F file=@photo.jpg {server.address}/predict"),
        ("Python", f'with Client("{server.address}") as client:'),
        ("JavaScript", f'await fetch("{server.address}/predict", {{'),
    ):
        page.get_by_role("button", name=language, exact=True).click()
        expect(page.locator("#snippet")).to_contain_text(word)
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert "await fetch" in page.evaluate("navigator.clipboard.readText()")
