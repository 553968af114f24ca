"""Photos of other things: every picture in a folder, whatever the names of its sub-folders."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.pictures import draw, encode
from whisker.model import Preprocessing
from whisker.training.data.outliers import Outliers, read_outliers
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

PREPROCESSING = Preprocessing(size=32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "others"


def write(root: Path, *paths: str) -> list[bytes]:
    """Write a picture of its own to each path."""
    contents = []
    for seed, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        contents.append(encode(draw("rings", seed)))
        (root / path).write_bytes(contents[-1])
    return contents


def read(root: Path, known: frozenset[str] = frozenset()) -> tuple[Outliers, str]:
    """Read the outliers; return them and the output."""
    console = Console(file=io.StringIO(), width=400)
    outliers = read_outliers(root, PREPROCESSING, root.parent / "cache", known, Progress(console))
    assert isinstance(console.file, io.StringIO)
    return outliers, console.file.getvalue()


def test_photos_at_any_depth_are_decoded_as_they_would_be_served(root: Path) -> None:
    contents = write(root, "a.png", "b/c.png", "b/d/e.png")
    outliers, said = read(root)
    assert outliers.pixels.shape == (3, 32, 32, 3)
    assert outliers.rows.tolist() == [0, 1, 2]
    for row, content in zip(outliers.rows, contents, strict=True):
        np.testing.assert_array_equal(outliers.pixels[row], PREPROCESSING.decode(content))
    assert "Photos of other things: 3." in said


def test_photos_of_a_folder_are_a_group(root: Path) -> None:
    write(root, *(f"{name}/{depth}photo{n}.png" for name in "abcde" for depth in ("", "deep/") for n in range(2)))
    groups = read(root)[0].groups
    assert len(groups) == 20
    assert [len(set(groups[start : start + 4].tolist())) for start in range(0, 20, 4)] == [1] * 5
    assert len(set(groups.tolist())) == 5


@pytest.mark.parametrize("folders", [("",), ("a/", "b/", "c/")])
def test_with_few_folders_each_photo_is_a_group(root: Path, folders: tuple[str, ...]) -> None:
    write(root, *(f"{folder}{n}.png" for folder in folders for n in range(6)))
    groups = read(root)[0].groups
    assert len(set(groups.tolist())) == len(groups) == 6 * len(folders)


def test_unreadable_and_hidden_files_are_left_out(root: Path) -> None:
    write(root, "a.png", "b.png", ".hidden.png", ".thumbnails/c.png")
    (root / "b.png").write_text("hello")
    outliers, said = read(root)
    assert outliers.rows.tolist() == [0]
    assert len(outliers.groups) == 1
    assert "Photos of other things: 1; left out as unreadable: 1." in said


def test_photos_of_known_classes_are_left_out(root: Path) -> None:
    contents = write(root, "a.png", "b.png", "c.png")
    outliers, said = read(root, frozenset({hashlib.sha256(contents[1]).hexdigest()}))
    assert outliers.rows.tolist() == [0, 2]
    assert "Photos of other things: 2; left out because they are also photos of known classes: 1." in said


def test_no_folder_is_one_sentence(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"There is no folder .*others: --outliers needs a folder"):
        read(root)


@pytest.mark.parametrize("content", [None, b"hello"])
def test_folder_without_a_picture_is_one_sentence(root: Path, content: bytes | None) -> None:
    root.mkdir()
    if content is not None:
        (root / "a.png").write_bytes(content)
    with pytest.raises(DatasetError, match="holds no readable picture of anything else"):
        read(root)


def test_folder_of_known_photos_alone_is_one_sentence(root: Path) -> None:
    contents = write(root, "a.png", "b.png")
    with pytest.raises(DatasetError, match="holds no readable picture of anything else"):
        read(root, frozenset(hashlib.sha256(content).hexdigest() for content in contents))


def test_sub_folder_that_cannot_be_read_is_one_sentence(root: Path, deny: Callable[[Path], None]) -> None:
    write(root, "a.png", "b/c.png")
    deny(root / "b")
    with pytest.raises(DatasetError, match=r"The folder .*others/b/? cannot be read: Permission denied\."):
        read(root)
