"""Steps of all browser tests: send photos, and check accessibility."""

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def ask(page: Page, *files: Path) -> None:
    page.set_input_files("#photos", files)


def checked(page: Page) -> list[Any]:
    return Axe().run(page).response["violations"]  # type: ignore[no-any-return]
