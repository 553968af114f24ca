"""How long a person waits: from a dropped photo to the bars on screen, beside the time of the request itself.

`python -m benchmarks.browser PHOTOS`; needs Chromium, and `pip install playwright`.
"""

import base64
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from playwright.sync_api import Page, sync_playwright

from benchmarks.photos import enlarge, read_photos
from benchmarks.process import running
from benchmarks.servers import WHISKER
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.errors import ConfigError, WhiskerError

ADDED_MS, LARGE_MS = 150, 1_000  # targets: beside the request, and in all for 12 megapixels
_DROPS = 20
_LARGE_DROPS = 5
# Drop a photo; when its bars have been painted, give the milliseconds in all and those of the request.
_DROP = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (it) => it.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
  performance.clearResourceTimings();
  const started = performance.now();
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
  while (document.getElementById("answer").hidden) {
    if (performance.now() - started > 10_000) throw new Error("no answer within 10 seconds");
    await new Promise((resolve) => setTimeout(resolve));
  }
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const ended = performance.now();
  const [request] = performance.getEntriesByType("resource").filter((it) => it.name.includes("/predict"));
  return [ended - started, request.duration];
}"""


def main(photos: Annotated[Path, typer.Argument(help="Folder of JPEG photos, at any depth.")]) -> None:
    """Drop photos on the page of a server with default settings, small ones and such of 12 megapixels."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise ConfigError("There is no Chromium here: install Debian's package chromium.")
    small = read_photos(photos, _DROPS)
    with (
        running(WHISKER, sys.executable, BUNDLED_CHECKPOINT, small[0]) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/")
        _drop(page, small[:3])  # the browser compiles the script, and the service warms up
        total, request = _drop(page, small)
        large_total, large_request = _drop(page, [enlarge(photo) for photo in small[:_LARGE_DROPS]])
    added = total - request
    typer.echo(
        f"Photo dropped to bars on screen: {total:.0f} ms, its request {request:.0f} ms: {added:.0f} ms added "
        f"(at most {ADDED_MS}: {_verdict(met=added <= ADDED_MS)})\n"
        f"12 megapixels: {large_total:.0f} ms, the request {large_request:.0f} ms "
        f"(at most {LARGE_MS}: {_verdict(met=large_total <= LARGE_MS)})"
    )


def _drop(page: Page, photos: Sequence[bytes]) -> tuple[float, float]:
    """Drop photos one after the other; give the median milliseconds of all, and of the request."""
    times = [page.evaluate(_DROP, base64.b64encode(photo).decode()) for photo in photos]
    return median(total for total, _ in times), median(request for _, request in times)


def _verdict(*, met: bool) -> str:
    return "met" if met else "missed"


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
