"""The states of the pages: what a visitor does to reach each of them."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from benchmarks.screenshots.camera import State

_VERDICTS = ("confident", "confident", "unsure", "confident", "unknown")
_PATIENCE = 60_000  # milliseconds


def open_page(path: str, wanted: str = "main") -> Callable[[Page], None]:
    """Give the step that opens a page, and waits for something on it."""

    def reach(page: Page) -> None:
        page.goto("about:blank")  # from an address that differs in its fragment alone, nothing would be loaded
        page.goto(path)
        page.locator(wanted).first.wait_for(timeout=_PATIENCE)

    return reach


def page_states(photos: Sequence[Path], no_photo: Path, *, heat: bool) -> list[State]:
    """List the states of the page with one photo."""
    shown = [
        State("start", open_page("/")),
        State("one", partial(_ask, photos=photos[:1], wanted="#answer")),
        *([State("heat", _turn_heat_on)] if heat else []),
        State("long", partial(_ask, photos=photos[1:2], wanted="#answer")),
        State("error", partial(_ask, photos=[no_photo], wanted="#problem")),
    ]
    return [*shown, State("visits", lambda page: page.locator("#history").scroll_into_view_if_needed())]


def correction_states(photos: Sequence[Path]) -> list[State]:
    """List the states of a correction."""
    return [
        State("mistake", partial(_report, photo=photos[0])),
        State("thanks", _send),
    ]


def form_states(photos: Sequence[Path]) -> list[State]:
    """List the states of a browser that does not run the page's script."""
    return [State("form", _open_without_script), State("formed", partial(_send_form, photos=photos))]


def many_states(photos: Sequence[Path], no_photo: Path, classes: Sequence[str], counts: Sequence[int]) -> list[State]:
    """List the states of the page with several photos, whose answers are made up."""
    return [
        State(f"many{count}", partial(_ask_many, photos=[*photos[: count - 1], no_photo], classes=classes))
        for count in counts
    ]


def key_states(photos: Sequence[Path], key: str) -> list[State]:
    """List the states of a service that asks for a key."""
    return [
        State("key", partial(_ask_in_new_page, photos=photos[:1], wanted="#key-form")),
        State("keyed", partial(_give_key, key=key)),
    ]


def _ask(page: Page, *, photos: Sequence[Path], wanted: str) -> None:
    page.set_input_files("#photos", photos)
    page.locator(wanted).wait_for(timeout=_PATIENCE)
    expect(page.locator("#status")).to_be_empty(timeout=_PATIENCE)
    page.evaluate("scrollTo(0, 0)")


def _open_without_script(page: Page) -> None:
    page.route("**/page/page.js", lambda route: route.abort())
    page.goto("/")


def _send_form(page: Page, *, photos: Sequence[Path]) -> None:
    page.set_input_files("#photos", photos)
    page.get_by_role("button", name="Classify").click()
    page.locator("meter").first.wait_for(timeout=_PATIENCE)
    page.unroute_all()


def _ask_in_new_page(page: Page, *, photos: Sequence[Path], wanted: str) -> None:
    page.goto("/")
    _ask(page, photos=photos, wanted=wanted)


def _turn_heat_on(page: Page) -> None:
    page.locator("#heat-on").check()
    page.locator("#photo[aria-label*=evidence]").wait_for(timeout=_PATIENCE)


def _report(page: Page, *, photo: Path) -> None:
    _ask_in_new_page(page, photos=[photo], wanted="#answer")
    page.locator("#wrong summary").click()


def _send(page: Page) -> None:
    page.locator("#right-label").select_option(index=1)
    page.locator("#consent").check()
    page.locator("#send").click()
    page.locator("#thanks.thanks").wait_for(timeout=_PATIENCE)


def _give_key(page: Page, *, key: str) -> None:
    page.locator("#key").fill(key)
    page.locator("#key-form button").click()
    page.locator("#answer").wait_for(timeout=_PATIENCE)


def _ask_many(page: Page, *, photos: Sequence[Path], classes: Sequence[str]) -> None:
    asked = [0]

    def answer(route: Any) -> None:
        asked[0] += 1
        if asked[0] % 40 == 7:  # one is damaged
            problem = {"code": "undecodable_picture", "detail": "x"}
            route.fulfill(status=422, content_type="application/problem+json", body=json.dumps(problem))
        else:
            route.fulfill(json=_made_up(asked[0], classes))

    page.goto("/")
    page.route("**/predict?*", answer)
    page.set_input_files("#photos", photos)
    page.locator("#csv:enabled").wait_for(timeout=_PATIENCE)
    page.unroute_all()
    page.evaluate("scrollTo(0, 0)")


def _made_up(number: int, classes: Sequence[str]) -> dict[str, Any]:
    label, score = classes[number % len(classes)], 0.35 + (number * 37 % 64) / 100
    other = classes[(number + 1) % len(classes)]
    verdict = _VERDICTS[number % len(_VERDICTS)]
    return {
        "label": label,
        "score": score,
        "verdict": verdict,
        "unknown_score": 0.2,
        "predictions": [{"label": label, "score": score}, {"label": other, "score": 0.3 * (1 - score)}],
        "image": {"width": 400, "height": 300, "format": "JPEG"},
        "model": {"name": "made-up", "version": "0123456789ab"},
        "timing_ms": {"decode": 1, "queue": 1, "inference": 1, "total": 3},
        **({"reason": "The best score is too low to rely on."} if verdict == "unsure" else {}),
    }
