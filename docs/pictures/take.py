"""Take the README's picture: what the page says of a photo that the model knows, beside one that it does not.

Start `whisker serve`, then run `python docs/pictures/take.py http://localhost:8000`. It needs Chromium. Look at
the result: it must show a confident, right answer on the left and an unknown one on the right. What follows the bars is
left out.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parent
PHOTOS = ("cat.jpg", "cup.jpg")
WIDTH, HEIGHT, SCALE, AROUND = 480, 1200, 2, 14  # of a column, in CSS pixels
SHORTENED = "#bars ~ *, .answer ~ * { display: none !important }"


def main() -> None:
    """Take a picture of each answer, and put them side by side."""
    browsers = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=next(filter(None, browsers)), args=["--no-sandbox"])
        answers = [_answer(browser, sys.argv[1], FOLDER / name) for name in PHOTOS]
        browser.close()
    size = (sum(answer.width for answer in answers), max(answer.height for answer in answers))
    both = Image.new("RGB", size, answers[0].getpixel((0, 0)))
    for column, answer in enumerate(answers):
        both.paste(answer, (column * answer.width, 0))
    both.save(FOLDER / "page.webp", quality=88, method=6)


def _answer(browser: Browser, address: str, photo: Path) -> Image.Image:
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, color_scheme="light", bypass_csp=True
    )
    page.goto(address)
    page.set_input_files("#photos", photo)
    page.wait_for_selector("#answer:visible #bars li")
    page.wait_for_load_state("networkidle")
    page.add_style_tag(content=SHORTENED)
    box = page.locator("#answer").bounding_box()
    assert box is not None  # noqa: S101 - it is visible
    shot = page.screenshot(
        full_page=True,
        clip={"x": 0, "y": box["y"] - AROUND, "width": WIDTH, "height": box["height"] + 2 * AROUND},
        animations="disabled",
    )
    page.close()
    return Image.open(io.BytesIO(shot)).convert("RGB")


if __name__ == "__main__":
    main()
