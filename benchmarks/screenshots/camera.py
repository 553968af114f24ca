"""The camera: goes through states in a browser, takes a picture of each, and notes what is wrong with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page

Scheme: TypeAlias = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
HEIGHTS = {360: 740, 390: 844, 768: 1024, 1280: 800}
_STILL = "document.fonts.ready.then(() => new Promise(requestAnimationFrame))"
_WIDEST = """() => [...document.querySelectorAll("body *")].filter((it) => {
  const { right, width } = it.getBoundingClientRect();
  return width && right > innerWidth + 1 && !it.closest(".scroll, .examples ul, pre, .hidden, .skip, svg, canvas");
}).slice(0, 3).map((it) => it.tagName + "." + it.className)"""


@dataclass(frozen=True, slots=True)
class State:
    """A state of a page: `reach` leads to it from the one before."""

    name: str
    reach: Callable[[Page], None]


@dataclass(slots=True)
class Camera:
    """Takes pictures into a folder; `faults` has a line for each thing that is wrong."""

    folder: Path
    faults: list[str] = field(default_factory=list)
    taken: int = 0

    def go_through(
        self, browser: Browser, address: str, states: Sequence[State], *, width: int, scheme: Scheme, prefix: str
    ) -> None:
        """Go through states, one after the other, on one screen."""
        context = browser.new_context(
            base_url=address,
            color_scheme=scheme,
            viewport={"width": width, "height": HEIGHTS[width]},
            reduced_motion="reduce",
            has_touch=width < 500,
            is_mobile=width < 500,
        )
        page = context.new_page()
        for state in states:
            try:
                state.reach(page)
            except Error as exc:
                self.faults.append(
                    f"{prefix}-{state.name}-{width}-{scheme}: not reached: {exc.message.splitlines()[0]}"
                )
                continue
            page.evaluate(_STILL)
            self._take(page, f"{prefix}-{state.name}-{width}-{scheme}", width)
        context.close()

    def _take(self, page: Page, name: str, width: int) -> None:
        self.taken += 1
        page.screenshot(path=self.folder / f"{name}.png", full_page=True, animations="disabled")
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            self.faults.append(f"{name}: {wide} px wide; {page.evaluate(_WIDEST)}")
        for violation in Axe().run(page).response["violations"]:
            places = "; ".join(str(node["target"]) for node in violation["nodes"][:3])
            self.faults.append(f"{name}: {violation['id']} at {places}")
