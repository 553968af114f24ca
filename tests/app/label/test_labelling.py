"""Uploads that are kept, and labelled over HTTP, up to the folders that training reads."""

import io
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import get_args

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr
from starlette.types import Message

from tests.app.conftest import ROOT, Serving, picture
from tests.app.label.conftest import KEY, Review
from tests.pictures import encode, exif
from whisker.app import time_limits
from whisker.app.label.export import labels_csv, zipped
from whisker.app.main import create_app
from whisker.app.review.entry import Entry
from whisker.app.review.keeper import SkipReason
from whisker.app.review.store import ReviewStore
from whisker.app.settings import Settings
from whisker.model.answers.descriptor import DESCRIPTOR_BYTES
from whisker.model.errors import ConfigError
from whisker.training.data.folders.folder import find_photos

pytestmark = pytest.mark.anyio

_PICTURES = [picture(colour=colour) for colour in ("red", "green", "blue", "olive")]


async def test_upload_is_kept_once_small_and_without_what_a_camera_adds(review: Review) -> None:
    photo = encode(Image.new("RGB", (1200, 900), "teal"), "JPEG", exif=exif(6), comment=b"where I live")
    (waiting,) = await review.upload(photo, photo)
    kept = await review.client.get(f"/{waiting['photo']}")
    assert (kept.headers["content-type"], kept.headers["cache-control"]) == ("image/jpeg", "no-store")
    (file,) = review.folder.rglob("*.jpg")
    assert file.read_bytes() == kept.content
    assert b"where I live" not in kept.content
    with Image.open(file) as image:
        assert image.size == (600, 800)
        assert not image.getexif()


async def test_uploads_of_every_route_are_considered(review: Review) -> None:
    await review.upload(picture())
    known = (await review.decisions()).get("known", 0)
    form, batch = {"file": ("a", picture())}, [("file", ("a", picture())), ("file", ("b", b"no picture"))]
    for path, files in (("/predict/batch", batch), ("/answer", form), ("/invocations", form), ("/predict", form)):
        await review.decided(review.client.post(path, files=files))
    assert (await review.decisions())["known"] == known + 4


async def test_folder_that_cannot_be_used_fails_no_answer(
    review: Review, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(time_limits, "REVIEW_PAUSE_SECONDS", 0.0)
    catalogue = review.folder / "review.sqlite3"
    whole = catalogue.rename(review.folder / "away")
    catalogue.mkdir()
    failed = (await review.decisions()).get("failed", 0)
    await review.decided(review.client.post("/predict", files={"file": ("a", picture())}))
    queue = await review.client.get("/review")
    catalogue.rmdir()
    whole.rename(catalogue)
    assert (queue.status_code, queue.json()["code"]) == (507, "review_unavailable")
    assert (await review.decisions())["failed"] > failed
    assert "Uploads cannot be kept for review" in caplog.messages


async def test_page_tells_visitors(review: Review) -> None:
    assert "may keep a copy for review" in (await review.client.get("/")).text


def test_folder_without_a_key_or_shared_with_corrections_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set WHISKER_API_KEY, too"):
        create_app(settings.model_copy(update={"review": tmp_path}))
    for corrections in (tmp_path, tmp_path / "labelled", tmp_path.parent):
        both = {"review": tmp_path, "corrections": corrections, "api_key": SecretStr(KEY)}
        with pytest.raises(ConfigError, match="give each its own"):
            create_app(settings.model_copy(update=both))


def test_guide_names_every_route_and_reason(settings: Settings, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "how-to" / "label.md").read_text()
    paths = create_app(settings.model_copy(update={"review": tmp_path, "api_key": SecretStr(KEY)})).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if "/review" in path}
    assert routes == set(re.findall(r"^\| `(\w+ /review\S*)` \|", guide, re.MULTILINE))
    assert {*get_args(SkipReason)} == set(re.findall(r"^\| `([a-z_]+)` \|", guide, re.MULTILINE))


async def test_labelled_photos_are_what_training_reads(review: Review, tmp_path: Path) -> None:
    first, second, third, fourth = [it["id"] for it in await review.upload(*_PICTURES)]
    await review.label(first, "cat")
    await review.label(second, "日本語")  # a new class
    answer = await review.label(third)  # none of the classes
    counts = {"waiting": 1, "labelled": 2, "outliers": 1, "classes": {"cat": 1, "日本語": 1}}
    assert answer.json()["progress"] == counts
    queue = (await review.client.get("/review")).json()
    assert [it["id"] for it in queue["photos"]] == [fourth]
    assert queue["classes"] == ["bird", "cat", "dog", "日本語"]
    found = find_photos(review.folder / "labelled")
    assert {found.classes[it.label]: Path(it.path).stem for it in found.files} == {"cat": first, "日本語": second}
    assert [it.stem for it in (review.folder / "outliers").iterdir()] == [third]
    labels, archive = [(await review.client.get(f"/review/{it}")).content for it in ("labels.csv", "export.zip")]
    (tmp_path / "labels.csv").write_bytes(labels)
    assert find_photos(review.folder / "labelled", labels_file=tmp_path / "labels.csv").files == found.files
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(tmp_path)
    unpacked = tmp_path / "review"
    assert find_photos(unpacked / "labelled", labels_file=unpacked / "labels.csv").files == found.files
    assert fourth not in str([*unpacked.rglob("*")])


def test_photo_with_several_labels_is_what_training_reads(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    for number, labels in enumerate((["bird", "dog"], ["dog"])):
        store.keep(picture(colour=f"#{number}08040", format_="JPEG"), _kept(number))
        store.label(store.next(1)[0].id, labels)
    (tmp_path / "labels.csv").write_text(labels_csv(store, store.labelled()))
    for file in (None, tmp_path / "labels.csv"):
        found = find_photos(tmp_path / "labelled", labels_file=file, multi_label=True)
        labelled = Counter(tuple(found.classes[at] for at in it.labels) for it in found.files)
        assert labelled == {("bird", "dog"): 1, ("dog",): 1}


def test_archive_lists_what_it_has(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    for number in range(2):
        store.keep(picture(colour=f"#{number}08040", format_="JPEG"), _kept(number))
        store.label(store.next(1)[0].id, ["cat", "dog"])
    entries = store.labelled()
    store.delete(entries[0].id)
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped(store, entries)))) as packed:
        lines = packed.read("review/labels.csv").decode().splitlines()[1:]
        photos = [name.removeprefix("review/") for name in packed.namelist() if name.endswith(".jpg")]
    assert [line.split(",")[0] for line in lines] == photos
    assert len(photos) == 2


async def test_photos_of_a_single_label_checkpoint_may_get_several(
    serving: Serving, several_file: Path, tmp_path: Path
) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    store.keep(_PICTURES[0], _kept(1))
    async with serving(checkpoint=several_file, review=tmp_path, api_key=SecretStr(KEY)) as client:
        page = await client.post("/label", files={"key": (None, KEY)})
    assert page.status_code == 200
    assert _shown(page) == store.next(1)[0].id


async def test_skipped_undone_and_deleted(review: Review) -> None:
    first, second = [it["id"] for it in await review.upload(*_PICTURES[:2])]
    await review.client.post(f"/review/{first}/skip")
    assert [it["id"] for it in (await review.client.get("/review")).json()["photos"]] == [second, first]
    await review.label(second, "cat")
    undone = await review.client.delete(f"/review/{second}/label")
    assert undone.json()["photo"]["labels"] is None
    assert (await review.client.delete(f"/review/{second}")).json()["waiting"] == 1
    for answer in (await review.client.get(f"/review/{second}.jpg"), await review.label(second, "cat")):
        assert (answer.status_code, answer.json()["code"]) == (404, "photo_gone")
        assert answer.headers["cache-control"] == "no-store"
    assert [it.stem for it in review.folder.rglob("*.jpg")] == [first]


async def test_hostile_requests_change_nothing(review: Review) -> None:
    client = review.client
    (photo,) = [it["id"] for it in await review.upload(_PICTURES[0])]
    before, path = {*review.folder.rglob("*")}, f"/review/{photo}/label"
    bad = ('{"labels": ["../cat"]}', '{"labels": ["cat", "dog"]}', '{"labels": "cat"}', '{"labels": [null]}', "[]", "")
    for body in bad:
        answer = await client.put(path, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_label"), body
    assert (await client.put(path, content=b" " * 70_000)).status_code == 413
    for strange in ("..%2f..%2fetc%2fpasswd", "%2e%2e", "x" * 64, "0" * 64):
        assert (await client.get(f"/review/{strange}.jpg")).status_code == 404
        assert (await client.delete(f"/review/{strange}")).status_code == 404
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await client.put(path, json={"labels": ["cat"]}, headers=headers)).status_code == 403
        assert (await client.post("/label", files={"key": (None, KEY)}, headers=headers)).status_code == 403
    del client.headers["Authorization"]
    for method, where in (("GET", "/review"), ("GET", f"/review/{photo}.jpg"), ("DELETE", f"/review/{photo}")):
        assert (await client.request(method, where)).status_code == 401
    form = {"key": (None, "wrong"), "photo": (None, photo), "action": (None, "delete")}
    assert (await client.post("/label", files=form)).status_code == 401
    assert {*review.folder.rglob("*")} == before


async def test_labeller_who_leaves_is_no_defect(review: Review, caplog: pytest.LogCaptureFixture) -> None:
    transport = review.client._transport  # noqa: SLF001 - only the application itself can be left
    assert isinstance(transport, httpx.ASGITransport)
    messages: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    headers = [(b"host", b"whisker"), (b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "http_version": "1.1", "method": "PUT", "path": "/review/x/label", "query_string": b""}

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_message: Message) -> None:
        """Nobody is there."""

    await transport.app({**scope, "headers": headers}, receive, send)
    assert "Unexpected error" not in caplog.messages
    assert 'whisker_problems_total{code="client_gone"} 1.0' in (await review.client.get("/metrics")).text


async def test_form_without_a_script_does_the_same(review: Review) -> None:
    await review.upload(*_PICTURES[:2])
    del review.client.headers["Authorization"]
    start = await review.client.get("/label")
    assert re.search(r'<noscript>\s*<form class="panel" action="label" method="post"', start.text)

    async def send(page: httpx.Response | None = None, **fields: str) -> httpx.Response:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)) if page else {"key": KEY}
        return await review.client.post("/label", files={k: (None, v) for k, v in (hidden | fields).items()})

    page = await send()
    assert page.headers["cache-control"] == "no-store"
    first = _shown(page)
    gone = await send(page, photo="0" * 64, action="label")
    assert (gone.status_code, gone.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "no such photo" in gone.text
    assert (await send(page, padding="x" * 70_000)).status_code == 413
    page = await send(page, action="label", label="dog", new="train")
    assert "has another meaning" in page.text
    assert _shown(page) == first
    page = await send(page, action="label", label="dog", new="a new one")
    assert _shown(page) != first
    page = await send(page, action="undo")
    assert _shown(page) == first
    page = await send(page, action="label", label="dog")
    page = await send(page, action="none")
    assert "No photo is waiting" in page.text
    assert {it.parent.name for it in review.folder.rglob("*.jpg")} == {"dog", "outliers"}


def _kept(number: int) -> Entry:
    said = {"label": "cat", "score": 0.5, "verdict": "unsure", "unknown_score": None, "predictions": []}
    return Entry(str(number), "m", said, 0.5, bytes(DESCRIPTOR_BYTES))


def _shown(page: httpx.Response) -> str:
    found = re.search(r'name="photo" value="(\w{64})"', page.text)
    assert found is not None
    assert "data:image/jpeg;base64," in page.text
    return found[1]
