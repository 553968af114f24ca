"""Take the screenshots: `python -m benchmarks.screenshots OUT [--photos DIR]`; needs Chromium, Playwright and axe."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Browser, sync_playwright

from benchmarks.screenshots.camera import HEIGHTS, SCHEMES, Camera, Scheme, State
from benchmarks.screenshots.checkpoints import class_names, write
from benchmarks.screenshots.photos import choose_photos, draw_photos, write_no_photo
from benchmarks.screenshots.served import served
from benchmarks.screenshots.states import (
    correction_states,
    form_states,
    key_states,
    many_states,
    open_page,
    page_states,
)
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.errors import ConfigError, WhiskerError

_KEY = "a-key-to-show"
_MANY = 120


@dataclass(frozen=True, slots=True)
class _Scene:
    """A checkpoint that is served with some settings, and the states to go through."""

    name: str
    checkpoint: Path
    states: Sequence[State]
    settings: dict[str, str] = field(default_factory=dict)


def main(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    *,
    photos: Annotated[Path | None, typer.Option(help="Photos to show in place of drawings.")] = None,
    only: Annotated[str, typer.Option(help="Scenes to show, with commas between; default: all.")] = "",
    width: Annotated[list[int] | None, typer.Option(help="Screens to show; default: all.")] = None,
    scheme: Annotated[list[str] | None, typer.Option(help="light or dark; default: both.")] = None,
) -> None:
    """Take pictures of every state, and fail if one is wider than its screen or has a barrier."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise ConfigError("There is no Chromium here: install Debian's package chromium.")
    unknown = {*(scheme or SCHEMES)} - {*SCHEMES}
    if unknown:
        raise ConfigError(f"--scheme is light or dark, not {min(unknown)}.")
    out.mkdir(parents=True, exist_ok=True)
    camera, schemes = Camera(out), [it for it in SCHEMES if it in (scheme or SCHEMES)]
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        for scene in _scenes(Path(folder), photos):
            if not only or scene.name in only.split(","):
                _show(scene, camera, browser, width or [*HEIGHTS], schemes)
    for fault in camera.faults:
        typer.echo(fault)
    typer.echo(f"{camera.taken} pictures in {out}, {len(camera.faults)} faults")
    sys.exit(1 if camera.faults or not camera.taken else 0)


def _show(scene: _Scene, camera: Camera, browser: Browser, widths: Sequence[int], schemes: Sequence[Scheme]) -> None:
    with served(scene.checkpoint, **scene.settings) as address:
        for width in widths:
            for scheme in schemes:
                camera.go_through(browser, address, scene.states, width=width, scheme=scheme, prefix=scene.name)


def _scenes(folder: Path, given: Path | None) -> Iterator[_Scene]:
    photos = draw_photos(folder / "photos", _MANY)
    own = [*(choose_photos(given, 12) if given else photos[:12]), photos[1]]
    no_photo, examples = write_no_photo(folder), folder / "examples"
    examples.mkdir()
    for photo in own[:8]:
        shutil.copy(photo, examples / f"{photo.stem[:20]}{photo.suffix}")
    (folder / "corrections").mkdir()
    settings = {"WHISKER_EXAMPLES": str(examples), "WHISKER_CORRECTIONS": str(folder / "corrections")}
    two = ("cat", "dog")
    yield _Scene(
        "bundled",
        BUNDLED_CHECKPOINT,
        [
            *page_states([own[0], own[-1]], no_photo, heat=True),
            *correction_states(own),
            *many_states(photos, no_photo, two, (3, 30, _MANY)),
            State("card", open_page("/card")),
            State("docs", open_page("/docs", ".opblock")),
            State("operation", open_page("/docs#/predict/predict", ".responses-table")),
            State("errors", open_page("/docs/errors#picture_too_large")),
        ],
        settings,
    )
    odd = class_names(5)
    card = State("card", open_page("/card"))
    five = write(folder / "five-odd-names.safetensors", odd)
    docs = State("docs", open_page("/docs", ".opblock"))
    states = [*key_states(photos, _KEY), *many_states(photos, no_photo, odd, (12,)), card, docs]
    yield _Scene("five", five, states, {"WHISKER_API_KEY": _KEY})
    thirty = write(folder / "thirty.safetensors", class_names(30), shown=False)
    form = form_states([*photos[:2], no_photo])
    yield _Scene("thirty", thirty, [*page_states(photos, no_photo, heat=True), card, *form])
    hundreds = write(folder / "two-hundred.safetensors", class_names(200))
    yield _Scene("hundreds", hundreds, [*page_states(photos, no_photo, heat=False), card], settings)
    labels = write(folder / "labels.safetensors", class_names(12), task="multi-label")
    yield _Scene("labels", labels, [*page_states(photos, no_photo, heat=False), card], settings)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"screenshots: {exc}")
