"""The review folder: what gives way, what survives a crash, and many hands at once."""

import asyncio
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.app.conftest import full_disk
from whisker.app.errors import PhotoGoneError, ReviewUnavailableError
from whisker.app.review.entry import Entry
from whisker.app.review.store import ReviewStore
from whisker.model.answers.descriptor import describe_features

_PHOTO_BYTES = 8192  # that each of the photos below takes: a block, and one for its line


def entry(number: int, interest: float = 0.5, *, like: int | None = None) -> Entry:
    features = np.eye(64, dtype=np.float32)[number if like is None else like]
    said = {"label": "cat", "score": 0.5, "verdict": "unsure", "unknown_score": None, "predictions": []}
    return Entry(str(number), "m", said, interest, describe_features(features))


def fill(store: ReviewStore, *interests: float) -> list[str]:
    """Keep photos; return their ids in that order."""
    ids = list[str]()
    for number, interest in enumerate(interests):
        assert store.keep(b"photo %d" % number, entry(number, interest)) == "kept"
        (new,) = {it.id for it in store.next(100)} - {*ids}
        ids.append(new)
    return ids


def files(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.suffix != ".sqlite3"
    }


def test_full_folder_keeps_what_is_most_worth_a_label(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 3 * _PHOTO_BYTES)
    assert store.floor() < 0
    low, middle, high = fill(store, 0.2, 0.5, 0.9)
    assert store.floor() == pytest.approx(0.2, abs=0.02)
    assert store.keep(b"duller", entry(10, 0.1)) == "uninteresting"
    assert store.keep(b"a copy of the best", entry(11, 0.95, like=2)) == "uninteresting"
    assert store.keep(b"better", entry(12, 0.6)) == "kept"
    assert {it.id for it in store.next(9)} >= {middle, high}
    assert files(tmp_path) == {f"waiting/{it.id}.jpg" for it in store.next(9)}
    assert low not in {it.id for it in store.next(9)}
    for it in store.next(9):
        store.label(it.id, ["cat"])
    assert store.keep(b"best", entry(13, 1.0)) == "full"  # what people have done is never thrown away
    assert store.progress().classes == {"cat": 3}


def test_same_photo_and_same_upload_are_kept_once(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    assert store.keep(b"photo", entry(1)) == "kept"
    assert store.keep(b"photo", entry(2)) == "known"
    assert store.keep(b"other", entry(1)) == "known"
    assert store.has("1")
    assert len(files(tmp_path)) == 1


def test_labels_move_photos_and_leave_no_empty_class(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    (photo,) = fill(store, 0.5)
    store.label(photo, ["cat", "dog"])
    assert files(tmp_path) == {f"labelled/cat/{photo}.jpg", f"labelled/dog/{photo}.jpg"}
    store.label(photo, ["dog"])
    assert [path.name for path in (tmp_path / "labelled").iterdir()] == ["dog"]
    store.label(photo, [])
    assert files(tmp_path) == {f"outliers/{photo}.jpg"}
    store.label(photo, None)
    assert files(tmp_path) == {f"waiting/{photo}.jpg"}
    store.delete(photo)
    assert files(tmp_path) == set()
    assert photo.encode() not in (tmp_path / "review.sqlite3").read_bytes()
    with pytest.raises(PhotoGoneError):
        store.label(photo, ["cat"])


def test_two_labellers_lose_no_photo(tmp_path: Path) -> None:
    """Two stores, as two HTTP workers have them, label the same photos at once in every way."""
    stores = [ReviewStore(tmp_path, 1_000_000) for _ in range(2)]
    photos = fill(stores[0], *[0.5] * 3)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(stores[number % 2].label, photo, labels)
            for number, labels in enumerate((["cat"], None, ["dog"], [], ["cat", "dog"]))
            for photo in photos
        ]
        for job in jobs:
            job.result()
    kept = {it.id: it.labels for it in [*stores[0].next(99), *stores[0].labelled()]}
    assert kept.keys() == {*photos}
    expected = {path for photo, labels in kept.items() for path in stores[0].folder.paths(photo, labels)}
    assert {tmp_path / name for name in files(tmp_path)} == expected


def test_sweep_mends_what_a_crash_or_a_hand_has_left(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    moved, gone, doubled, whole = fill(store, *[0.5] * 4)
    (tmp_path / "labelled" / "cat").mkdir(parents=True)
    (tmp_path / f"waiting/{moved}.jpg").rename(tmp_path / f"labelled/cat/{moved}.jpg")
    (tmp_path / f"waiting/{gone}.jpg").unlink()
    (tmp_path / f"labelled/cat/{doubled}.jpg").write_bytes(b"labelled, but not yet in the catalogue")
    (tmp_path / f"waiting/{'0' * 64}.jpg").write_bytes(b"kept, but not yet in the catalogue")
    (tmp_path / f"waiting/.{whole}.jpg.12ab34cd.unfinished").write_bytes(b"half")
    (tmp_path / "waiting/notes.txt").write_text("somebody else's")
    store.sweep()
    assert files(tmp_path) == {
        f"labelled/cat/{moved}.jpg",
        f"labelled/cat/{doubled}.jpg",
        f"waiting/{whole}.jpg",
        "waiting/notes.txt",
    }
    assert {it.id for it in store.next(9)} == {whole}
    assert {it.id: it.labels for it in store.labelled()} == {moved: ["cat"], doubled: ["cat"]}


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 2 * _PHOTO_BYTES)
    photo, other = fill(store, 0.5, 0.4)
    before = files(tmp_path)
    with full_disk():
        with pytest.raises(ReviewUnavailableError, match="No space left on device"):
            store.keep(b"better", entry(9, 0.9))
        with pytest.raises(ReviewUnavailableError):
            store.label(photo, ["cat"])
    assert files(tmp_path) == before
    assert {it.id for it in store.next(9)} == {photo, other}


def test_catalogue_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "review.sqlite3").write_bytes(b"this is no catalogue" * 100)
    with pytest.raises(ReviewUnavailableError, match="not a database"):
        ReviewStore(tmp_path, 1_000_000).progress()


def test_sweep_deletes_nothing_that_people_have(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, elsewhere = tmp_path / "review", tmp_path / "elsewhere"
    root.mkdir()
    store = ReviewStore(root, 1_000_000)
    first, second, _ = fill(store, *[0.5] * 3)
    store.label(first, ["cat"])
    store.label(second, [])
    (root / f"labelled/cat/{'1' * 64}.jpg").write_bytes(b"copied in by hand")
    strange = root / os.fsdecode(b"labelled/\xff") / f"{'2' * 64}.jpg"
    strange.parent.mkdir()
    strange.write_bytes(b"in a folder whose name is no text")
    before = files(root)
    store.sweep()
    assert files(root) == before
    for path in root.rglob("*.jpg"):
        os.utime(path, (1e9, 1e9))
    (root / "review.sqlite3").write_bytes(b"")
    store.sweep()
    fill(store, 0.5, 0.5, 0.5, 0.5)  # so that the new catalogue is not empty
    store.sweep()
    assert files(root) >= before
    assert "Photos that the catalogue of the review folder does not know are left" in caplog.messages

    elsewhere.mkdir()
    known = store.next(1)[0].id
    (elsewhere / f"{known}.jpg").write_bytes(b"somebody else's")
    (root / "labelled" / "dog").symlink_to(elsewhere)
    before = files(root)
    (root / f"waiting/{known}.jpg").unlink()
    store.sweep()
    assert len(files(elsewhere)) == 1
    assert store.find(known)  # behind the link may be what is missing
    assert "The review folder is not swept" in caplog.messages


def test_refused_label_leaves_no_copy(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 2 * _PHOTO_BYTES)
    photo, other = fill(store, 0.5, 0.4)
    before = files(tmp_path)
    with sqlite3.connect(tmp_path / "review.sqlite3") as catalogue:
        for change in ("UPDATE", "INSERT"):
            catalogue.execute(
                f"CREATE TRIGGER full_{change} BEFORE {change} ON photos BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
    with pytest.raises(ReviewUnavailableError, match="full"):
        store.label(photo, ["cat", "dog"])
    with pytest.raises(ReviewUnavailableError, match="full"):
        store.keep(b"better", entry(9, 0.9))
    assert files(tmp_path) == before
    (tmp_path / "labelled/cat").mkdir(parents=True)
    (tmp_path / f"labelled/cat/{other}.jpg").write_bytes(b"a copy")
    store.delete(other)
    assert files(tmp_path) == {f"waiting/{photo}.jpg"}


def test_one_missing_photo_is_found_again(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    moved, gone, other = fill(store, *[0.5] * 3)
    (tmp_path / "outliers").mkdir()
    (tmp_path / f"waiting/{moved}.jpg").rename(tmp_path / f"outliers/{moved}.jpg")
    for photo in (gone, other):
        (tmp_path / f"waiting/{photo}.jpg").unlink()
    assert store.read(moved) == b"photo 0"
    assert store.find(moved).labels == []
    with pytest.raises(PhotoGoneError):
        store.read(gone)
    assert [it.id for it in store.next(9)] == [other]  # nobody has asked for it


@pytest.mark.parametrize("damage", ["answer = '{'", "labels = '7'", "descriptor = x'00'"])
def test_damaged_entry_is_said(tmp_path: Path, damage: str) -> None:
    store = ReviewStore(tmp_path, 1_000_000)
    fill(store, 0.5)
    with sqlite3.connect(tmp_path / "review.sqlite3") as catalogue:
        catalogue.execute(f"UPDATE photos SET {damage}")  # noqa: S608 - ours
    with pytest.raises(ReviewUnavailableError, match="damaged"):
        _ = store.next(9), store.labelled()


@pytest.mark.anyio
async def test_locked_catalogue_keeps_no_other_thread_busy(tmp_path: Path) -> None:
    store, locked = ReviewStore(tmp_path, 1), threading.Event()
    waiting = [asyncio.create_task(store.run(locked.wait, 10)) for _ in range(40)]
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: "free") == "free"
    locked.set()
    assert all(await asyncio.gather(*waiting))


def test_folders_are_told_by_their_place_and_not_by_their_names(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "labelled", 1_000_000)
    store.folder.root.mkdir()
    first, second = fill(store, 0.5, 0.5)
    store.label(first, ["waiting"])
    by_hand = store.folder.root / f"labelled/waiting/{'1' * 64}.jpg"
    by_hand.write_bytes(b"copied in by hand")
    store.label(second, [])
    store.label(second, None)
    store.sweep()
    assert by_hand.exists()
    assert store.find(first).labels == ["waiting"]
    assert store.find(second).labels is None
    assert (store.folder.root / "outliers").exists()
