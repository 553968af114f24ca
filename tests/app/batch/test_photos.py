"""Which photos arguments name, and what they are called."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from whisker.app.batch.photos import count_photos, find_photos
from whisker.model.plain_text import printable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a folder in which files, folders and their sorted order come in every relation."""
    root = tmp_path / "photos"
    for path in ("a/2.jpg", "a/10.jpg", "a-b/1.jpg", "a.jpg", "B/c/d.png", "notes.txt", ".hidden/1.jpg", "a/.2.jpg"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_folder_is_searched_in_the_order_of_sorted_paths(folder: Path) -> None:
    names = [photo.name for photo in find_photos([folder], relative=True)]
    assert names == ["B/c/d.png", "a-b/1.jpg", "a.jpg", "a/10.jpg", "a/2.jpg", "notes.txt"]
    assert names == sorted(names)


def test_names_are_paths_where_not_relative(folder: Path) -> None:
    photos = list(find_photos([folder / "a", folder / "a.jpg", Path("none.jpg")]))
    assert [photo.path for photo in photos] == [
        f"{folder}/a/10.jpg",
        f"{folder}/a/2.jpg",
        f"{folder}/a.jpg",
        "none.jpg",
    ]
    assert [photo.name for photo in photos] == [photo.path for photo in photos]


def test_results_in_the_folder_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    photos = list(find_photos([Path(), Path("a")], relative=True, leave_out=[folder / "notes.txt", Path("a/2.jpg")]))
    assert [photo.name for photo in photos] == ["B/c/d.png", "a-b/1.jpg", "a.jpg", "a/10.jpg", "10.jpg"]
    assert all(Path(photo.path).exists() for photo in photos)


def test_everything_but_links_to_folders_is_listed(folder: Path) -> None:
    os.mkfifo(folder / "a" / "pipe")
    (folder / "a" / "itself.jpg").symlink_to("itself.jpg")
    (folder / "a" / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "a" / "linked.jpg").symlink_to(folder / "a.jpg")
    (folder / "a" / "nowhere.jpg").symlink_to(folder / "gone.jpg")
    names = [photo.name for photo in find_photos([folder / "a"], relative=True)]
    assert names == ["10.jpg", "2.jpg", "itself.jpg", "linked.jpg", "nowhere.jpg", "pipe"]
    assert count_photos([folder / "a"]) == len(names)


def test_folder_that_cannot_be_searched_is_listed(folder: Path, deny: Callable[[Path], None]) -> None:
    deny(folder / "a")
    names = [photo.name for photo in find_photos([folder], relative=True)]
    assert "a/" in names


def test_names_are_printable() -> None:
    assert printable("café/ü.jpg") == "café/ü.jpg"
    assert printable(os.fsdecode(b"a\xff\n\x1b[31m.jpg")) == r"a\udcff\n\x1b[31m.jpg"
