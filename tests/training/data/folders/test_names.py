import unicodedata
from pathlib import Path

import pytest

from tests.training.data.folders.test_labels import labels, touch
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.names import similar_names

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_two_ways_to_write_an_accent_are_one_class(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", f"{NFC}/1.jpg", f"{NFD}/2.jpg", "tea/3.jpg")
    folder = find_photos(root)
    assert folder.classes == (NFC, "tea")
    assert [(file.path, file.label) for file in folder.files] == [
        (f"{NFD}/2.jpg", 0),
        (f"{NFC}/1.jpg", 0),
        ("tea/3.jpg", 1),
    ]
    corrected = find_photos(root, labels_file=labels(root, f"path,label\ntea/3.jpg,{NFD}\n{NFC}/2.jpg,tea\n"))
    assert [(file.path, file.label) for file in corrected.files] == [
        (f"{NFC}/1.jpg", 0),
        ("tea/3.jpg", 0),
        (f"{NFD}/2.jpg", 1),
    ]


@pytest.mark.parametrize("other", ["Cat", "cat ", " cat", "c at", "CAT", "c_at"])
def test_names_that_differ_by_case_or_blanks_are_two_classes_with_a_warning(tmp_path: Path, other: str) -> None:
    folder = find_photos(touch(tmp_path, "cat/1.jpg", f"{other}/2.jpg"))
    assert len(folder.classes) == 2
    (notice,) = folder.notices
    assert "differ by case or blanks only: if they are one, give them one name." in notice


def test_names_that_differ_otherwise_are_not_alike() -> None:
    assert similar_names(["11", "1-1", "cat", "cats", "a", "b"]) == []
    assert similar_names(["Fire truck", "car", "firetruck", "fire_truck"]) == [
        ("Fire truck", "firetruck", "fire_truck")
    ]
