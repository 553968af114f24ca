"""Corrections: off unless a folder is named, kept only with consent, never more than there is room for."""

import asyncio
import errno
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, PngImagePlugin

from tests.app.conftest import Serving, picture
from tests.pictures import encode, exif
from whisker.app.errors import CorrectionsFullError, OverloadedError
from whisker.app.routes.corrections_store import CorrectionsStore
from whisker.training.data.folders.folder import find_photos

pytestmark = pytest.mark.anyio

_AGREED = {"label": "dog", "consent": "yes"}


@dataclass(frozen=True, slots=True)
class Keeper:
    """A client of a service that keeps corrections, and their folder."""

    client: httpx.AsyncClient
    folder: Path


@pytest.fixture(scope="module")
async def running(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Keeper]:
    folder = tmp_path_factory.mktemp("corrections")
    async with serving(corrections=folder) as client:
        yield Keeper(client, folder)


@pytest.fixture
def keeper(running: Keeper) -> Keeper:
    """Empty the folder of the one service: a start for each test would take most of their time."""
    shutil.rmtree(running.folder)
    running.folder.mkdir()
    return running


def photo(orientation: int = 6) -> dict[str, tuple[str, bytes]]:
    return {"file": ("private name.jpg", encode(Image.new("RGB", (60, 40), "teal"), "JPEG", exif=exif(orientation)))}


async def test_without_a_folder_nothing_is_kept(client: httpx.AsyncClient) -> None:
    answer = await client.post("/corrections", files=photo(), data=_AGREED)
    assert (answer.status_code, answer.json()["code"]) == (404, "corrections_off")
    page = (await client.get("/")).text
    assert "Report a mistake" not in page
    assert "for review" not in page
    for path in ("/label", "/label/label.js", "/review", "/review/labels.csv"):
        assert (await client.get(path)).status_code == 404


async def test_correction_is_kept_under_its_label_without_what_a_camera_adds(keeper: Keeper) -> None:
    assert "Report a mistake" in (await keeper.client.get("/")).text
    for _ in range(2):  # the same again is no other
        answer = await keeper.client.post("/corrections", files=photo(), data=_AGREED)
        assert answer.status_code == 201
    (kept,) = (file for file in _files(keeper.folder) if file.suffix == ".jpg")
    assert kept.parent == keeper.folder / "dog"
    assert kept.name == answer.json()["photo"]
    with Image.open(kept) as image:
        assert (image.format, image.size) == ("JPEG", (40, 60))
        assert not image.getexif()
    (line,) = map(json.loads, (keeper.folder / "corrections.jsonl").read_text().splitlines())
    assert (line["photo"], line["label"]) == (f"dog/{kept.name}", "dog")
    assert line["answered"]["label"] in {"bird", "cat", "dog"}
    assert "private" not in json.dumps(line)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"label": "dog"}, "invalid_upload"),
        ({"label": "dog", "consent": "no"}, "invalid_upload"),
        ({"label": "../dog", "consent": "yes"}, "unknown_class"),
        ({"consent": "yes"}, "unknown_class"),
    ],
)
async def test_correction_without_consent_or_class_is_refused(
    keeper: Keeper, fields: dict[str, str], code: str
) -> None:
    answer = await keeper.client.post("/corrections", files=photo(), data=fields)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert _files(keeper.folder) == []


async def test_damaged_photo_or_no_form_is_refused(keeper: Keeper) -> None:
    answer = await keeper.client.post("/corrections", files={"file": ("a.png", picture()[:60])}, data=_AGREED)
    assert answer.json()["code"] == "undecodable_picture"
    answer = await keeper.client.post("/corrections", content=picture(), headers={"Content-Type": "image/png"})
    assert answer.json()["code"] == "unsupported_media_type"
    assert _files(keeper.folder) == []


async def test_full_folder_takes_no_more(serving: Serving, tmp_path: Path) -> None:
    async with serving(corrections=tmp_path, max_corrections_bytes=1000) as client:
        answer = await client.post("/corrections", files={"file": ("a.jpg", _noise())}, data=_AGREED)
        assert (answer.status_code, answer.json()["code"]) == (507, "corrections_full")
    assert _files(tmp_path) == []


@pytest.mark.parametrize("fails", ["write_bytes", "open"])
def test_full_disk_is_told_and_logged_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    """A disk that is full when the photo is written, or only when its line is."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = CorrectionsStore(tmp_path, 10_000)
    with monkeypatch.context() as patch:
        patch.setattr(Path, fails, fail)
        with pytest.raises(CorrectionsFullError):
            folder.store(b"photo", {"label": "dog"})
    assert [vars(record)["reason"] for record in caplog.records] == ["No space left on device"]
    assert _files(tmp_path) == []
    name = folder.store(b"photo", {"label": "dog"})
    assert {path.name for path in _files(tmp_path)} == {name, "corrections.jsonl"}


async def test_comments_are_not_kept_and_cost_nothing(keeper: Keeper) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "where I live " * 6_000, zip=True)  # longer than a JPEG's comment can be
    files = (
        encode(Image.new("RGB", (60, 40), "teal"), "JPEG", comment=b"where I live"),
        encode(Image.new("RGB", (60, 40), "teal"), "PNG", pnginfo=text),
    )
    for data in files:
        answer = await keeper.client.post("/corrections", files={"file": ("a", data)}, data=_AGREED)
        assert answer.status_code == 201
        assert b"where I live" not in (keeper.folder / "dog" / answer.json()["photo"]).read_bytes()


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_photo_of_several_labels_is_kept_under_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """A disk that is full at the first copy, at the second, or when the line is written."""
    folder, written = CorrectionsStore(tmp_path, 10_000), Path.write_bytes

    def fail_later(path: Path, data: bytes) -> int:
        if len([*tmp_path.rglob("*.jpg")]) == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(path, data)

    line = {"label": "dog", "labels": ["dog", "cat"]}
    with monkeypatch.context() as patch:
        if fails < 2:
            patch.setattr(Path, "write_bytes", fail_later)
        else:
            (tmp_path / "corrections.jsonl").mkdir()
        with pytest.raises(CorrectionsFullError):
            folder.store(b"photo", line)
    assert _files(tmp_path) == []


def test_training_can_take_the_folder(tmp_path: Path) -> None:
    folder = CorrectionsStore(tmp_path, 1_000_000)
    for number, label in enumerate(("cat", "dog", "dog")):
        folder.store(picture(colour=f"#{number}08040", format_="JPEG"), {"label": label})
    found = find_photos(tmp_path)
    assert Counter(found.classes[photo.label] for photo in found.files) == {"cat": 1, "dog": 2}


async def test_corrections_that_come_all_at_once_keep_nobody_out(tmp_path: Path) -> None:
    folder = CorrectionsStore(tmp_path, 1_000_000)
    photos = [str(number).encode() for number in range(20)]
    outcomes = await asyncio.gather(*(folder.keep(it, {"label": "dog"}) for it in photos), return_exceptions=True)
    kept = [it for it in outcomes if isinstance(it, str)]
    assert len(kept) == len(_files(tmp_path)) - 1 == 8
    assert all(isinstance(it, OverloadedError) for it in outcomes if it not in kept)


def test_photos_count_by_the_blocks_that_they_take(tmp_path: Path) -> None:
    folder = CorrectionsStore(tmp_path, 3 * 4096)
    for number in range(3):
        folder.store(str(number).encode(), {"label": "dog"})
    with pytest.raises(CorrectionsFullError, match="is full"):
        CorrectionsStore(tmp_path, 3 * 4096).store(b"3", {"label": "dog"})
    with pytest.raises(CorrectionsFullError, match="is full"):
        folder.store(b"3", {"label": "dog"})


def test_class_of_a_made_up_checkpoint_is_no_path(tmp_path: Path) -> None:
    for label in ("..", "../x", "/etc", ".hidden"):
        with pytest.raises(CorrectionsFullError):
            CorrectionsStore(tmp_path / "folder", 10_000).store(b"photo", {"label": label})
    assert _files(tmp_path) == []


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _noise() -> bytes:
    return encode(Image.effect_noise((200, 200), 80).convert("RGB"), "JPEG")
