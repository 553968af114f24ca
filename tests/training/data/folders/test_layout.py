"""Folders as people have them: sides of public data sets, folders one level too high, and what lies beside photos."""

from collections import Counter
from pathlib import Path

import pytest

from tests.training.data.folders.test_labels import touch
from whisker.training.config import Grouping
from whisker.training.data.folders.folder import PhotoFolder, find_photos
from whisker.training.errors import DatasetError


def lay(root: Path, folders: str) -> Path:
    """Make so many files in each folder: `train/cat 3, train/dog 2`."""
    for folder, files in (spec.rsplit(" ", 1) for spec in folders.split(", ")):
        touch(root, *(f"{folder}/{number}.jpg" for number in range(int(files))))
    return root


def sides(folder: PhotoFolder) -> Counter[str | None]:
    return Counter(file.side for file in folder.files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ds"


def test_commonest_layouts_of_public_data_sets_give_the_classes_a_person_would_name(root: Path) -> None:
    """Class folders, sides with class folders, photos and a file of labels: by the function that trainings use."""
    classes = ("cat", "dog")
    assert find_photos(lay(root / "1", "cat 2, dog 2")).classes == classes
    assert find_photos(lay(root / "2", "train/cat 2, train/dog 2, val/cat 1, test/dog 1")).classes == classes
    (lay(root / "3", "train 4") / "train.csv").write_text("image_id,label\n0,cat\n1,dog\n3,cat\n")
    assert find_photos(root / "3", labels_file=root / "3" / "train.csv").classes == classes
    assert find_photos(root / "3" / "train", labels_file=root / "3" / "train.csv").classes == classes


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "Valid", "Testing"),
        ("TRAIN", "validation", "test_set"),
        ("train_images", "dev", "test"),
    ],
)
def test_sides_are_sides_whatever_their_usual_name(root: Path, names: tuple[str, str, str]) -> None:
    train, validation, test = names
    lay(root, f"{train}/cat 3, {train}/dog 2, {validation}/cat 1, {validation}/dog 1, {test}/cat 1, {test}/dog 3")
    folder = find_photos(root)
    assert folder.classes == ("cat", "dog")
    assert sides(folder) == {"train": 5, "validation": 2, "test": 4}
    assert folder.is_divided
    assert folder.notices == (
        f"Sides found in the folder, and used as they are: {train} (train), {validation} (validation), {test} (test).",
    )


@pytest.mark.parametrize("test", ["test", "test/unknown", "Test"])
def test_side_without_labels_is_not_used_and_that_is_said(root: Path, test: str) -> None:
    folder = find_photos(lay(root, f"train/cat 3, train/dog 2, {test} 4"))
    assert (folder.classes, sides(folder), folder.is_divided) == (("cat", "dog"), {"train": 5}, False)
    name = test.partition("/")[0]
    assert f"{name} has no class folder that train has, so that its 4 files are not used." in folder.notices[0]


def test_class_that_only_a_test_has_is_left_out_and_that_is_said(root: Path) -> None:
    folder = find_photos(lay(root, "train/cat 3, train/dog 2, test/cat 1, test/owl 2"))
    assert (folder.classes, sides(folder)) == (("cat", "dog"), {"train": 5, "test": 1})
    assert "train has no class 'owl', so that the 2 files in test/owl are not used." in folder.notices[0]


@pytest.mark.parametrize(
    "folders",
    [
        "train 3, car 2, bus 1",
        "train/north 2, train/south 2, car/north 1, bus 1",
        "test 3, valid 2",
    ],
)
def test_class_with_the_name_of_a_side_is_a_class_beside_others(root: Path, folders: str) -> None:
    folder = find_photos(lay(root, folders))
    assert folder.classes == tuple(sorted({spec.split(" ")[0].partition("/")[0] for spec in folders.split(", ")}))
    assert not folder.sides


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ("train 2, test 2", "holds the folders test, train, and these hold no class folders: .*--labels; see docs/ref"),
        ("train/cat 2, train/dog 2, test/cat 1, test/dog 1, pred 3", "beside them 'pred', .*ds/train alone; see"),
        ("flowers/rose 2, flowers/lily 2", r"only one class, 'flowers': did you mean .*/ds/flowers\? See docs/refer"),
        ("labelled/rose 2, outliers 2, waiting 2", r"labelled at /label: give .*/ds/labelled, with --outliers"),
        ("a/b/rose 2, a/b/lily 2", r"did you mean .*/ds/a/b\?"),
        ("flowers/rose 2, flowers/lily 2, __MACOSX/flowers 2", r"did you mean .*/ds/flowers\?"),
        ("data/train/cat 2, data/train/dog 2, data/test/cat 2", r"did you mean .*/ds/data\?"),
    ],
)  # fmt: skip
def test_folder_that_is_surely_meant_otherwise_is_refused(root: Path, folders: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        find_photos(lay(root, folders))


def test_documents_beside_the_folder_of_classes_are_no_class(root: Path) -> None:
    lay(root, "flowers/rose 2, flowers/lily 2")
    with pytest.raises(DatasetError, match=r"photos in one folder only: did you mean .*/ds/flowers\?"):
        find_photos(touch(root, "docs/readme.txt"))


def test_only_class_of_a_folder_to_measure_may_be_another_folder(root: Path) -> None:
    folder = find_photos(lay(root, "flowers/rose 2, flowers/lily 2"), min_classes=1)
    assert f"did you mean {root}/flowers?" in folder.notices[0]
    assert find_photos(lay(root.with_name("other"), "cat 2"), min_classes=1).notices == ()


def test_folder_of_sides_is_measured_on_the_test_side(root: Path) -> None:
    folder = find_photos(lay(root, "train/cat 3, train/dog 2, val/cat 1, test/dog 2")).to_measure()
    assert [file.path for file in folder.files] == ["test/dog/0.jpg", "test/dog/1.jpg"]
    assert folder.notices[-1] == "Measured on the photos in test; those of other sides are left out."
    without = find_photos(lay(root.with_name("two"), "train/cat 3, train/dog 2, dev/cat 1")).to_measure()
    assert sides(without) == {"validation": 1}
    assert sides(find_photos(lay(root.with_name("one"), "cat 3, dog 1")).to_measure()) == {None: 4}


def test_levels_of_groups_are_counted_below_the_class_folders_of_sides(root: Path) -> None:
    lay(root, "train/cat/north 1, train/dog/south 1, test/cat/south 1, test/dog 1")
    folder = find_photos(root, grouping=Grouping(folder_level=1))
    assert [file.group for file in folder.files] == ["south", "north", "", "south"]


def test_file_of_labels_corrects_sides_and_makes_some(root: Path) -> None:
    file = root.with_name("labels.csv")
    file.write_text("path,label\ntrain/cat/0.jpg,dog\ntest/dog/0.jpg,\n")
    folder = find_photos(lay(root, "train/cat 2, train/dog 1, test/cat 1, test/dog 1"), labels_file=file)
    assert [(file.path, file.label, file.side) for file in folder.files] == [
        ("test/cat/0.jpg", 0, "test"),
        ("train/cat/1.jpg", 0, "train"),
        ("train/cat/0.jpg", 1, "train"),
        ("train/dog/0.jpg", 1, "train"),
    ]
    file.write_text("path,label\ntrain/0.jpg,a\ntrain/1.jpg,b\nval/0.jpg,a\n")
    assert sides(find_photos(lay(root.with_name("flat"), "train 2, val 1"), labels_file=file)) == {
        "train": 2,
        "validation": 1,
    }


def test_same_photo_in_two_sides_stays_in_both_with_several_labels(root: Path) -> None:
    for name in ("train/cat/0.jpg", "train/dog/0.jpg", "test/dog/0.jpg"):
        touch(root, name)
        (root / name).write_bytes(b"\xff\xd8\xff the same")
    files = find_photos(root, multi_label=True).files
    assert [(file.path, file.labels, file.side) for file in files] == [
        ("train/cat/0.jpg", (0, 1), "train"),
        ("test/dog/0.jpg", (1,), "test"),
    ]


def test_what_programs_leave_behind_is_skipped(root: Path) -> None:
    lay(root, "cat 1, dog 1, __MACOSX/cat 2, dog/.ipynb_checkpoints 1, cat/__MACOSX 1")
    touch(root, "Thumbs.db", "desktop.ini", "cat/Thumbs.db", "cat/DESKTOP.INI", ".ipynb_checkpoints/0.jpg")
    folder = find_photos(root)
    assert ([file.path for file in folder.files], folder.notices) == (["cat/0.jpg", "dog/0.jpg"], ())


def test_photos_beside_the_class_folders_are_counted(root: Path) -> None:
    touch(lay(root, "cat 1, dog 1"), "b.PNG", "a.jpg", "readme.txt", "labels.csv")
    folder = find_photos(root)
    assert folder.loose == ("a.jpg", "b.PNG")
    assert folder.notices == ("Not used, as beside the class folders nothing says their class: 2 photos, a.jpg first.",)


def test_empty_class_folder_stops_unless_small_ones_are_skipped(root: Path) -> None:
    (lay(root, "cat 1, dog 1") / "owl").mkdir()
    with pytest.raises(DatasetError, match=r"owl is empty: add photos to it, remove it, .* --skip-small"):
        find_photos(root)
    folder = find_photos(root, skip_small=True)
    assert (folder.classes, folder.empty) == (("cat", "dog"), ("owl",))
    assert folder.notices == ("Skipped, as they hold no file: owl.",)
