from pathlib import Path

import pytest

from benchmarks.transfer.photos import copy_photos, draw
from tests.pictures import CLASSES, write_folder
from whisker.model.errors import ConfigError


def test_photos_to_learn_from_are_never_tested_with(tmp_path: Path) -> None:
    task = draw(write_folder(tmp_path / "photos", 10), 4, seed=0)
    assert [photo.label for photo in task.train] == [0] * 4 + [1] * 4
    assert len(task.test) == 12
    assert len({photo.path for photo in (*task.train, *task.test)}) == 20


def test_same_seed_draws_same_photos_and_another_seed_others(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 10)
    assert draw(root, 4, seed=1) == draw(root, 4, seed=1)
    assert draw(root, 4, seed=1).train != draw(root, 4, seed=2).train


def test_chosen_classes_are_numbered_among_themselves(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 5)
    (root / "aside").mkdir()
    (root / "aside" / "1.png").write_bytes((root / CLASSES[0] / "000.png").read_bytes())
    task = draw(root, 2, 0, CLASSES)
    assert task.classes == CLASSES
    assert {photo.label for photo in task.train} == {0, 1}


@pytest.mark.parametrize(
    ("photos", "classes", "message"), [(5, (), "none is left to test with"), (2, ("cubes",), "has no class cubes")]
)
def test_impossible_draw_is_one_sentence(tmp_path: Path, photos: int, classes: tuple[str, ...], message: str) -> None:
    root = write_folder(tmp_path / "photos", 5)
    with pytest.raises(ConfigError, match=message):
        draw(root, photos, 0, classes)


def test_copies_lie_in_their_class_folders(tmp_path: Path) -> None:
    task = draw(write_folder(tmp_path / "photos", 5), 2, seed=0)
    copy = copy_photos(task.test, task.classes, tmp_path / "copy")
    again = draw(copy, 1, seed=0)
    assert sorted(photo.path.read_bytes() for photo in (*again.train, *again.test)) == sorted(
        photo.path.read_bytes() for photo in task.test
    )
