"""Groups that users name: where the names come from, and which groups look-alikes join."""

from pathlib import Path

import numpy as np
import pytest

from whisker.model.errors import ConfigError
from whisker.training.config import Grouping
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.groups import PhotoGroups, join_groups
from whisker.training.errors import DatasetError

FOLDER = Grouping(folder_level=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a folder of two classes, seen by two cameras on two days."""
    for name in (
        "cat/north/mon/1.jpg",
        "cat/north/tue/1.jpg",
        "cat/south/mon/1.jpg",
        "cat/loose.jpg",
        "dog/north/mon/1.jpg",
        "dog/south/1.jpg",
    ):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


def groups(root: Path, grouping: Grouping, text: str = "") -> dict[str, str]:
    """Map the paths to their groups, given the lines of a file of labels."""
    file = root.parent / "labels.csv"
    file.write_text(text)
    found = find_photos(root, labels_file=file if text else None, grouping=grouping)
    return {photo.path: photo.group for photo in found.files}


@pytest.mark.parametrize(
    ("text", "grouping"),
    [
        ("patient", Grouping(column="patient")),
        (" Patient ID ", Grouping(column="patient id")),
        ("column:patient", Grouping(column="patient")),
        ("folder", Grouping(folder_level=1)),
        ("folder:3", Grouping(folder_level=3)),
        ("Folder: 2", Grouping(folder_level=2)),
        ("column:folder", Grouping(column="folder")),
        ("column:folder:2", Grouping(column="folder:2")),
        ("column", Grouping(column="column")),
        ("folders", Grouping(column="folders")),
        ("site:room", Grouping(column="site:room")),
    ],
)
def test_value_of_the_option_names_a_column_or_a_level(text: str, grouping: Grouping) -> None:
    assert Grouping.parse(text) == grouping


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder:0", "a level of 1 or more, not '0'; for a column of that name, give --groups 'column:folder:0'"),
        ("folder:", "a level of 1 or more, not ''"),
        ("folder:-1", "a level of 1 or more, not '-1'"),
        ("folder:two", "a level of 1 or more, not 'two'"),
        (" ", "--groups is the name of a column of --labels, folder, or folder:N"),
        ("column:", "--groups is the name of a column of --labels, folder, or folder:N"),
    ],
)
def test_value_that_names_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grouping.parse(text)


def test_folders_of_one_name_are_one_group_in_every_class(root: Path) -> None:
    assert groups(root, FOLDER) == {
        "cat/loose.jpg": "",
        "cat/north/mon/1.jpg": "north",
        "cat/north/tue/1.jpg": "north",
        "cat/south/mon/1.jpg": "south",
        "dog/north/mon/1.jpg": "north",
        "dog/south/1.jpg": "south",
    }


def test_deeper_level_names_the_groups_of_photos_that_have_it(root: Path) -> None:
    named = groups(root, Grouping(folder_level=2))
    assert (named["cat/north/mon/1.jpg"], named["dog/north/mon/1.jpg"], named["dog/south/1.jpg"]) == ("mon", "mon", "")


def test_file_that_replaces_class_folders_lets_levels_count_from_the_outermost(root: Path) -> None:
    text = "path,label\ncat/north/mon/1.jpg,indoors\ndog/south/1.jpg,outdoors\n"
    assert groups(root, FOLDER, text) == {"cat/north/mon/1.jpg": "cat", "dog/south/1.jpg": "dog"}


def test_file_that_corrects_class_folders_leaves_levels_as_they_are(root: Path) -> None:
    text = "path,label\ncat/north/mon/1.jpg,dog\ndog/south/1.jpg,\n"
    named = groups(root, FOLDER, text)
    assert named == {path: name for path, name in groups(root, FOLDER).items() if path != "dog/south/1.jpg"}


def test_column_names_groups_and_photos_without_an_entry_have_none(root: Path) -> None:
    text = "path,Camera,label\ncat/north/mon/1.jpg, A ,cat\ncat/loose.jpg,,cat\ndog/south/1.jpg,a,dog\n"
    named = groups(root, Grouping.parse("camera"), text)
    assert {path: name for path, name in named.items() if name} == {"cat/north/mon/1.jpg": "A", "dog/south/1.jpg": "a"}
    assert len(named) == 6


def test_column_called_folder_is_a_column_when_it_is_said_to_be(root: Path) -> None:
    text = "path,label,folder\ncat/north/mon/1.jpg,cat,x\ndog/south/1.jpg,dog,x\n"
    assert groups(root, Grouping.parse("column:folder"), text)["dog/south/1.jpg"] == "x"
    assert groups(root, Grouping.parse("folder"), text)["dog/south/1.jpg"] == "south"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("path,label,Camera\ncat/loose.jpg,cat,A", "no column 'patient', .* are 'path', 'label', 'Camera'"),
        ("path,label,Patient,patient \ncat/loose.jpg,cat,A,B", "line 1: two columns are named 'patient'"),
        ("path,label,patient\ncat/loose.jpg,cat", "line 2: the line ends before the column of --groups"),
        ("path,label,patient\ncat/loose.jpg,cat,A\ncat/loose.jpg,cat,B", "line 3: .* has 'B' .* but 'A' on line 2"),
        ("path,label,patient\ncat/loose.jpg,cat,\n", "No photo in .* has a group: the column 'patient'"),
    ],
)  # fmt: skip
def test_column_that_cannot_be_followed_is_refused(root: Path, lines: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as refused:
        groups(root, Grouping(column="patient"), lines)
    assert "\n" not in str(refused.value)


def test_column_without_a_file_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="names the column 'patient', so give the file that has it with --labels"):
        find_photos(root, grouping=Grouping(column="patient"))


def test_level_that_no_photo_has_is_refused(root: Path) -> None:
    with pytest.raises(DatasetError, match="has a group: the folder level 3, which --groups names"):
        find_photos(root, grouping=Grouping(folder_level=3))


def join(names: list[str], look_alikes: list[int]) -> PhotoGroups:
    return join_groups(names, np.array(look_alikes))


def test_photos_of_one_name_are_one_group_and_others_are_alone() -> None:
    joined = join(["A", "B", "", "A", "", "B"], [0, 1, 2, 3, 4, 5])
    assert joined.numbers.tolist() == [0, 1, 2, 0, 4, 1]
    assert (joined.named, joined.joined, joined.alone, joined.count, joined.largest) == (2, 0, 2, 4, 2)


def test_look_alikes_join_the_groups_that_they_are_in() -> None:
    joined = join(["A", "B", "C", "A", "B", "C", "D"], [0, 1, 2, 1, 4, 5, 6])
    assert joined.numbers.tolist() == [0, 0, 2, 0, 0, 2, 6]
    assert (joined.named, joined.joined, joined.count, joined.largest) == (4, 2, 3, 4)


def test_look_alikes_join_groups_through_others() -> None:
    """A shares a look-alike with B, and B another one with C; a photo without a group looks like one of C."""
    joined = join(["C", "B", "B", "A", "D", "A", "", "C"], [0, 0, 2, 3, 4, 2, 7 - 7, 7])
    assert joined.numbers.tolist() == [0, 0, 0, 0, 4, 0, 0, 0]
    assert (joined.named, joined.joined, joined.alone, joined.count, joined.largest) == (4, 3, 1, 2, 7)


def test_look_alikes_without_names_stay_groups_of_their_own() -> None:
    joined = join(["", "", "", "A"], [0, 0, 2, 3])
    assert joined.numbers.tolist() == [0, 0, 2, 3]
    assert (joined.joined, joined.count) == (0, 3)
