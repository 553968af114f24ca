"""A browser, a service with everything turned on, and photos to drop."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.app.conftest import Server, picture, several_file, strict, tiny

__all__ = ["several_file", "strict", "tiny"]  # fixtures of the service's tests, used here too

_PATIENCE = 30_000  # milliseconds: on a busy machine a browser takes its time
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")  # not longer: while it is there, its thread can run no other event loop
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if path is None:
        pytest.skip("there is no Chromium here: install Debian's package chromium")
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def folder_of_corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrections")


@pytest.fixture(scope="session")
def server(tiny: Path, folder_of_corrections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    examples = tmp_path_factory.mktemp("examples")
    (examples / "one.png").write_bytes(picture(300, 200))
    server = Server(
        tiny, "--inference-workers=1", WHISKER_EXAMPLES=str(examples), WHISKER_CORRECTIONS=str(folder_of_corrections)
    )
    yield server
    server.clean_up()


@pytest.fixture
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=server.address, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(_PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Open the page; any error of a script fails the test."""
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.goto("/")
    yield page
    assert complaints == []


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    files = []
    for colour in ("red", "green", "blue"):
        files.append(folder / f"{colour}.png")
        files[-1].write_bytes(picture(400, 300, colour=colour))
    return files
