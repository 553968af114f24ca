"""Links among photos: followed, but not in circles, and named if they lead nowhere."""

from pathlib import Path

import pytest

from tests.pictures import write_folder
from tests.training.data.folders.test_labels import touch
from whisker.model.preprocessing import Preprocessing
from whisker.training.data.cache import decode_photos
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.walk import walk
from whisker.training.progress import Progress


@pytest.fixture
def root(tmp_path: Path) -> Path:
    touch(tmp_path / "elsewhere", "deep/1.jpg", "2.jpg")
    return touch(tmp_path / "photos", "cat/a/1.jpg", "dog/1.jpg")


def paths(root: Path) -> list[str]:
    return [file.path for file in find_photos(root).files]


def test_links_to_folders_and_files_in_class_folders_are_followed(root: Path) -> None:
    (root / "cat" / "more").symlink_to(root.parent / "elsewhere")
    (root / "cat" / "one.jpg").symlink_to(root.parent / "elsewhere" / "2.jpg")
    (root / "dog" / "cats").symlink_to("../cat/a")
    assert paths(root) == [
        "cat/a/1.jpg",
        "cat/more/2.jpg",
        "cat/more/deep/1.jpg",
        "cat/one.jpg",
        "dog/1.jpg",
        "dog/cats/1.jpg",
    ]


def test_circles_are_not_followed_and_are_named(root: Path) -> None:
    (root / "cat" / "a" / "around").symlink_to("../..")
    (root / "cat" / "self").symlink_to(".")
    folder = find_photos(root)
    assert [file.path for file in folder.files] == ["cat/a/1.jpg", "dog/1.jpg"]
    assert folder.notices == ("Not followed: 2 links that lead to a folder around itself, cat/a/around first.",)


def test_folders_that_link_to_each_other_are_searched_once(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(12)]  # by every way there is, these would be 10 billion files
    touch(tmp_path, *(f"{name}/1.jpg" for name in names))
    for name in names:
        for other in names:
            if other != name:
                (tmp_path / name / other).symlink_to(f"../{other}")
    assert sorted(walk(tmp_path).files) == sorted(f"{name}/1.jpg" for name in names)


def test_links_to_nothing_are_counted_and_named(root: Path) -> None:
    """As DVC and git-annex leave them, where the photos were not fetched."""
    (root / "cat" / "dead.jpg").symlink_to("../../.git/annex/objects/x.jpg")
    (root / "cat" / "itself.jpg").symlink_to("itself.jpg")
    (root / "owl").symlink_to("/nowhere")
    folder = find_photos(root)
    (notice,) = folder.notices
    assert notice.startswith(
        "3 links lead to nothing, cat/dead.jpg first: fetch what should be there (`dvc pull`, `git a"
    )
    assert "cat/dead.jpg" in [file.path for file in folder.files]


def test_file_in_the_place_of_a_photo_says_how_to_fetch_it(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 1)
    (root / "lfs.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (root / "annex.jpg").write_text("/annex/objects/SHA256E-s9--00.jpg\n")
    (root / "dead.jpg").symlink_to("nowhere")
    fetched_by = {"lfs.jpg": "git lfs pull", "annex.jpg": "git annex get", "dead.jpg": "dvc pull"}
    _, results = decode_photos(root, [*fetched_by], Preprocessing(size=32), tmp_path / "cache", quiet)
    for program, result in zip(fetched_by.values(), results, strict=True):
        assert program in result.error
