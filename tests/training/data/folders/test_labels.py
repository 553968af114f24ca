import os
from pathlib import Path

import pytest

from tests.pictures import draw, encode
from whisker.training.data.folders.folder import find_photos
from whisker.training.errors import DatasetError


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Make a folder of four photos without class folders."""
    return touch(tmp_path / "photos", "1.jpg", "2.jpg", "3.jpg", "day one/4.jpg")


@pytest.fixture
def sorted_photos(tmp_path: Path) -> Path:
    """Make a folder of two class folders and a loose photo."""
    return touch(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg", "loose.jpg")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def labels(root: Path, text: str | bytes) -> Path:
    file = root.parent / "labels.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def found(root: Path, text: str | bytes) -> dict[str, list[str]]:
    """List the paths of each class, with the classes in their order."""
    folder = find_photos(root, labels_file=labels(root, text))
    assert [file.label for file in folder.files] == sorted(file.label for file in folder.files)
    return {
        name: [file.path for file in folder.files if file.label == index] for index, name in enumerate(folder.classes)
    }


def test_file_alone_says_what_a_flat_folder_holds(flat: Path) -> None:
    text = "path,label\n3.jpg,dog\n1.jpg,dog\nday one/4.jpg,cat\n"
    assert found(flat, text) == {"cat": ["day one/4.jpg"], "dog": ["1.jpg", "3.jpg"]}


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfpath,label\r\n1.jpg,dog\r\n2.jpg,cat\r\n",
        b'label,doubt,path\ndog,0.93,"1.jpg"\n cat ,0.2,2.jpg\n',
        b"Path, Label\n./1.jpg,dog\n\n2.jpg,cat\n,\n2.jpg,cat\n",
        b"path,label\n1.jpg,dog\n2.jpg,cat\n3.jpg,\n",
    ],
    ids=["byte order mark", "other columns", "blank lines and repetition", "empty label"],
)
def test_ways_to_write_the_same_labels(flat: Path, text: bytes) -> None:
    assert found(flat, text) == {"cat": ["2.jpg"], "dog": ["1.jpg"]}


def test_names_outside_of_ascii_and_with_commas(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "Zoë, 3.jpg", "b.jpg")
    assert found(root, 'path,label\n"Zoë, 3.jpg",Kätzchen\nb.jpg,犬\n') == {"Kätzchen": ["Zoë, 3.jpg"], "犬": ["b.jpg"]}


def test_file_corrects_class_folders(sorted_photos: Path) -> None:
    text = "path,label\ncat/2.jpg,dog\ndog/1.jpg,\nloose.jpg,cat\n"
    assert found(sorted_photos, text) == {"cat": ["cat/1.jpg", "loose.jpg"], "dog": ["cat/2.jpg", "dog/2.jpg"]}


def test_file_of_empty_labels_only_leaves_photos_out(sorted_photos: Path) -> None:
    assert found(sorted_photos, "path,label\ncat/2.jpg,\n") == {"cat": ["cat/1.jpg"], "dog": ["dog/1.jpg", "dog/2.jpg"]}


def test_file_adds_and_empties_classes(sorted_photos: Path) -> None:
    text = "path,label\ndog/1.jpg,fox\ndog/2.jpg,cat\n"
    assert found(sorted_photos, text) == {"cat": ["cat/1.jpg", "cat/2.jpg", "dog/2.jpg"], "fox": ["dog/1.jpg"]}


def test_file_whose_labels_are_no_folders_stands_alone(sorted_photos: Path) -> None:
    text = "path,label\ncat/1.jpg,indoors\ndog/1.jpg,outdoors\n"
    assert found(sorted_photos, text) == {"indoors": ["cat/1.jpg"], "outdoors": ["dog/1.jpg"]}


def test_hidden_photos_are_left_out_though_named(sorted_photos: Path) -> None:
    touch(sorted_photos, ".cat/1.jpg", "cat/.3.jpg")
    assert (
        "cat/.3.jpg" not in found(sorted_photos, "path,label\ncat/.3.jpg,dog\n.cat/1.jpg,dog\ncat/1.jpg,cat\n")["dog"]
    )


def test_photos_keep_the_order_of_their_class_folders(sorted_photos: Path) -> None:
    files = find_photos(sorted_photos).files
    assert find_photos(sorted_photos, labels_file=labels(sorted_photos, "path,label\ncat/1.jpg,cat\n")).files == files


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("cat/2.jpg,dog\ncat/1.jpg,cat\ndog/1.jpg,\n", "labels 2 photos and leaves 1 out; 1 labels differ from"),
        ("cat/1.jpg,a\ndog/1.jpg,b\n", "labels 2 photos and leaves 0 out; class folders are ignored"),
    ],
)
def test_note_tells_how_the_file_was_read(sorted_photos: Path, text: str, note: str) -> None:
    assert note in find_photos(sorted_photos, labels_file=labels(sorted_photos, f"path,label\n{text}")).note
    assert find_photos(sorted_photos).note == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: there is no column 'path'"),
        ("path,colour,size\n1.jpg,red,9\n", r"line 1: there is no column 'label', .* 'path', 'colour', 'size'; see"),
        ("path;label\n1.jpg;cat\n", r"line 1: there is no column 'path'; .* separated by a comma"),
        ("path,label\n\n", r"names no photo"),
        ("path,label\n1.jpg,cat\n9.jpg,dog\n", r"line 3: there is no file '9.jpg'"),
        ("path,label\n1.jpg,cat\n8.jpg,dog\n9.jpg,dog\n", r"names 2 files that are not in .*, the first on line 3: '8"),
        ("path,label\nday one,cat\n", r"line 2: there is no file 'day one'"),
        ("path,label\n1.jpg,cat\n../labels.csv,dog\n", r"line 3: '../labels.csv' leads out of the folder"),
        ("path,label\n/etc/passwd,dog\n", r"line 2: '/etc/passwd' leads out of the folder"),
        ("path,label\n1.jpg,cat\n2.jpg,dog\n./1.jpg,dog\n", r"line 4: 1.jpg is labelled 'dog', but 'cat' on line 2"),
        ("path,label\n1.jpg,cat\n1.jpg,\n", r"line 3: 1.jpg is labelled to be left out, but 'cat' on line 2"),
        ("path,label\n1.jpg\n", r"line 2: the line has no label; to leave a photo out, end its line with a comma"),
        ("path,label\n,cat\n", r"line 2: the line has no path"),
        ('path,label\n1.jpg,"a\nb"\n', r"line 3: the label .* cannot be printed"),
        ('path,label\n1.jpg,cat\n2.jpg,"dog\n3.jpg,dog\n', r"line 4: the line is not CSV"),
        (b"path,label\n1.jpg,cat\n2.jpg,K\xe4tzchen\n", r"line 3: the text is not UTF-8"),
        ("path,label\n1.jpg,cat\n2.jpg,cat\n", r"holds only one class, 'cat'"),
    ],
)  # fmt: skip
def test_file_that_cannot_be_followed_is_refused(flat: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as refused:
        find_photos(flat, labels_file=labels(flat, text))
    assert "\n" not in str(refused.value)


def test_missing_file_of_labels_is_refused(flat: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing\.csv cannot be read: No such file"):
        find_photos(flat, labels_file=flat / "missing.csv")


def test_no_photo_left_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "1.jpg")
    with pytest.raises(DatasetError, match="holds no photo that has a label"):
        find_photos(root, labels_file=labels(root, "path,label\n1.jpg,\n"))


def test_one_class_is_enough_if_the_minimum_is_one(flat: Path) -> None:
    folder = find_photos(flat, min_classes=1, labels_file=labels(flat, "path,label\n1.jpg,cat\n"))
    assert folder.classes == ("cat",)


def several(root: Path, text: str | None) -> dict[str, set[str]]:
    """Name the labels of each path that is listed."""
    file = None if text is None else labels(root, text)
    folder = find_photos(root, labels_file=file, multi_label=True)
    return {file.path: {folder.classes[label] for label in file.labels} for file in folder.files}


def test_several_labels_are_separated_by_a_bar(flat: Path) -> None:
    text = "path,label\n1.jpg,cat|sofa\n2.jpg, sofa | cat | cat \n3.jpg,dog\nday one/4.jpg,\n"
    assert several(flat, text) == {"1.jpg": {"cat", "sofa"}, "2.jpg": {"cat", "sofa"}, "3.jpg": {"dog"}}
    folder = find_photos(flat, labels_file=labels(flat, text), multi_label=True)
    assert folder.classes == ("cat", "dog", "sofa")
    assert [file.labels for file in folder.files] == [(0, 2), (0, 2), (1,)]
    assert folder.note.endswith("class folders are ignored. 2 of 3 photos have several labels.")


def test_bar_alone_is_a_photo_with_none_of_the_labels(flat: Path) -> None:
    text = "path,label\n1.jpg,cat\n2.jpg, | \n3.jpg,dog\nday one/4.jpg,\n"
    assert several(flat, text) == {"1.jpg": {"cat"}, "2.jpg": set(), "3.jpg": {"dog"}}
    folder = find_photos(flat, labels_file=labels(flat, text), multi_label=True)
    assert folder.note.endswith("0 of 3 photos have several labels, and 1 have none.")
    with pytest.raises(DatasetError, match="give --multi-label"):
        found(flat, text)


def test_bar_alone_takes_a_photo_out_of_its_folder_but_not_out_of_the_training(sorted_photos: Path) -> None:
    before = several(sorted_photos, None)
    path = next(iter(before))
    kept = next(label for name, labels in before.items() if name != path for label in labels)
    other = next(name for name, labels in before.items() if labels == {kept} and name != path)
    assert several(sorted_photos, f"path,label\n{path},|\n{other},{kept}\n") == before | {path: set()}


def test_several_labels_without_the_option_are_refused_with_its_name(flat: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 3: 'cat\|dog' names several labels, .* give --multi-label"):
        found(flat, "path,label\n1.jpg,cat\n2.jpg,cat|dog\n")


@pytest.mark.parametrize("label", ["cat|", "||", "cat||dog", "| cat"])
def test_bar_with_nothing_beside_it_is_refused(flat: Path, label: str) -> None:
    with pytest.raises(DatasetError, match=r"line 3: .* has nothing on one side of a \|: remove it"):
        several(flat, f"path,label\n1.jpg,dog\n2.jpg,{label}\n")


def test_bar_in_the_name_of_a_class_folder_is_no_separator(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "black|white/1.jpg", "black|white/2.jpg", "colour/3.jpg")
    text = "path,label\nblack|white/1.jpg,black|white\ncolour/3.jpg,black|white\nblack|white/2.jpg,colour\n"
    assert found(root, text) == {"black|white": ["black|white/1.jpg", "colour/3.jpg"], "colour": ["black|white/2.jpg"]}
    assert several(root, text)["colour/3.jpg"] == {"black|white"}
    assert several(root, "path,label\ncolour/3.jpg,colour|blue\n") == {
        "black|white/1.jpg": {"black|white"},
        "black|white/2.jpg": {"black|white"},
        "colour/3.jpg": {"blue", "colour"},
    }


def test_file_corrects_all_folders_of_a_photo(tmp_path: Path) -> None:
    """A photo that the file names has no label but those that the file gives it, whatever folders it lies in."""
    root = touch(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "dog/4.jpg")
    (root / "dog" / "1.jpg").symlink_to("../cat/1.jpg")
    (root / "cat" / "3.jpg").symlink_to("../dog/3.jpg")
    assert several(root, None) == {
        "cat/1.jpg": {"cat", "dog"},
        "cat/2.jpg": {"cat"},
        "cat/3.jpg": {"cat", "dog"},
        "dog/4.jpg": {"dog"},
    }
    assert several(root, "path,label\ndog/1.jpg,dog\ncat/3.jpg,\n") == {
        "cat/1.jpg": {"dog"},
        "cat/2.jpg": {"cat"},
        "dog/4.jpg": {"dog"},
    }


def test_photo_named_twice_has_the_labels_of_both(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "1.jpg", "3.jpg")
    (root / "2.jpg").hardlink_to(root / "1.jpg")
    assert several(root, "path,label\n1.jpg,cat\n2.jpg,dog\n3.jpg,dog\n") == {"1.jpg": {"cat", "dog"}, "3.jpg": {"dog"}}


def test_photo_of_several_labels_has_no_single_one(flat: Path) -> None:
    files = find_photos(
        flat, labels_file=labels(flat, "path,label\n1.jpg,cat|dog\n2.jpg,cat\n"), multi_label=True
    ).files
    assert files[0].label == 0
    with pytest.raises(ValueError, match="too many values"):
        _ = files[1].label


@pytest.mark.parametrize("path", ["out.jpg", "behind/secret.jpg", "cat/passwd.jpg", "cat/behind/secret.jpg"])
def test_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    root, elsewhere = touch(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.jpg").write_bytes(encode(draw("rings", 0, (20, 20)), "JPEG"))
    (elsewhere / "passwd").write_text("root:x:0:0")
    (root / "out.jpg").symlink_to(elsewhere / "secret.jpg")
    (root / "behind").symlink_to(elsewhere)
    (root / "cat" / "behind").symlink_to(elsewhere)
    (root / "cat" / "passwd.jpg").symlink_to(elsewhere / "passwd")
    with pytest.raises(DatasetError, match=rf"line 2: '{path}' is a link, or behind one, that leads out"):
        found(root, f"path,label\n{path},cat\ndog/1.jpg,dog\n")


def test_link_to_a_picture_elsewhere_is_followed_in_a_class_folder(tmp_path: Path) -> None:
    """Programs that manage data sets put such links in the place of photos."""
    root, store = touch(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg"), tmp_path / "store"
    store.mkdir()
    (store / "1f").write_bytes(encode(draw("rings", 0, (20, 20)), "JPEG"))
    (root / "cat" / "2.jpg").symlink_to(store / "1f")
    assert found(root, "path,label\ncat/2.jpg,dog\n") == {"cat": ["cat/1.jpg"], "dog": ["cat/2.jpg", "dog/1.jpg"]}


def test_apostrophe_before_a_formula_is_no_part_of_a_cell(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "=1.jpg", "'a.jpg", "-2.jpg")
    text = "path,label\n'=1.jpg,'+x\n'a.jpg,'b\n-2.jpg,'b\n"
    assert found(root, text) == {"'b": ["'a.jpg", "-2.jpg"], "+x": ["=1.jpg"]}


def test_file_that_is_a_pipe_is_an_error_at_once(flat: Path) -> None:
    os.mkfifo(flat.parent / "pipe.csv")
    with pytest.raises(DatasetError, match="cannot be read: Is a named pipe"):
        find_photos(flat, labels_file=flat.parent / "pipe.csv")


def test_name_that_is_too_long_is_no_file(flat: Path) -> None:
    with pytest.raises(DatasetError, match="there is no file"):
        found(flat, f"path,label\n{'x' * 300}.jpg,cat\n")
