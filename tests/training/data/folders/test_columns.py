"""Files of labels as people have them: other columns, no endings, a column for each class, paths of other machines."""

from pathlib import Path

import pytest

from tests.training.data.folders.test_labels import labels, touch
from whisker.model.errors import ConfigError
from whisker.training.cli.options.arguments import label_file
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return touch(tmp_path / "photos", "a.jpg", "b.JPG", "images/c.png", "images/00012.jpg")


def found(root: Path, text: str, *, path: str | None = None, label: str | None = None) -> dict[str, str]:
    folder = find_photos(root, labels_file=LabelFile(labels(root, text), path, label))
    return {file.path: folder.classes[file.label] for file in folder.files}


AB = {"a.jpg": "cat", "b.JPG": "dog"}


@pytest.mark.parametrize(
    "text",
    [
        "image_id,label\na,cat\nb,dog\n",
        "id,breed\na,cat\nb,dog\n",
        "Image_ID,Class\na,cat\nb,dog\n",
        "filename,category\na.jpg,cat\nb.jpg,dog\n",
        "file,target\na.jpg,cat\nB.jpg,dog\n",
        "species,image\ncat,a.jpg\ndog,b.JPG\n",
        ",filename,label\n0,a.jpg,cat\n1,b.jpg,dog\n",
        "id,file_name,label,width\n7,a.jpg,cat,640\n8,b.JPG,dog,480\n",
        "image,what it shows\na.jpg,cat\nb.jpg,dog\n",
        "photo no,label\na.jpg,cat\nb.JPG,dog\n",
        "filename,cat,dog\na.jpg,1,0\nb.JPG,0,1\n",
        "image_id,source,cat,dog,owl\na,web,1.0,0.0,0.0\nb,web,0.0,1.0,0.0\n",
    ],
)
def test_columns_and_endings_are_found(root: Path, text: str) -> None:
    assert found(root, text) == AB


@pytest.mark.parametrize(
    "path",
    [
        "images/c.png",
        "images/c",
        "c",
        "c.png",
        "C.PNG",
        "images\\c.png",
        ".\\images\\c.png",
        "photos/images/c.png",
        "{root}/images/c.png",
        "C:\\data\\photos\\images\\c.png",
        "/kaggle/input/photos/images/c.png",
        " images/c.png ",
    ],
)
def test_paths_that_lead_to_a_photo_are_followed(root: Path, path: str) -> None:
    text = f"path,label\n{path.replace('{root}', str(root))},cat\na.jpg,dog\n"
    assert found(root, text) == {"images/c.png": "cat", "a.jpg": "dog"}


def test_paths_may_be_relative_to_the_file_itself(root: Path) -> None:
    file = touch(root, "meta/labels.csv") / "meta" / "labels.csv"
    file.write_text("path,label\n../images/c.png,cat\n../a.jpg,dog\n")
    assert find_photos(root, labels_file=file).classes == ("cat", "dog")
    outside = root.parent / "labels.csv"
    outside.write_text("path,label\nphotos/images/c.png,cat\nphotos/images/00012.jpg,dog\n")
    assert find_photos(root / "images", labels_file=outside).classes == ("cat", "dog")


def test_name_in_several_folders_is_that_of_the_training_side_or_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "train_images/1.jpg", "test_images/1.jpg", "train_images/2.jpg")
    assert found(root, "id,label\n1,cat\n2,dog\n") == {"train_images/1.jpg": "cat", "train_images/2.jpg": "dog"}
    touch(root, "more/2.jpg", "others/2.jpg", "more/3.jpg", "others/3.jpg")
    with pytest.raises(DatasetError, match=r"line 2: '3' may be 'more/3.jpg' or 'others/3.jpg': name the folder"):
        found(root, "id,label\n3,cat\n2,dog\n")


def test_options_name_the_columns(root: Path) -> None:
    text = "key,x,y,label\na.jpg,cat,1,0\nb.JPG,dog,2,0\n"
    assert found(root, text, path="KEY", label="x") == AB
    assert found(root, text, label="x") == AB


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path,breed,species\na.jpg,x,y\n", {}, "'breed' and 'species' may all hold the labels: choose one with --la"),
        ("filename,file,label\na.jpg,b.jpg,x\n", {}, "'filename' and 'file' may all hold the photos"),
        ("path,colour,size\na.jpg,red,9\n", {}, "there is no column 'label', .* --label-column; the columns are 'pa"),
        ("one,two,label\nx,y,z\n", {}, "there is no column 'path'; .* --path-column .* the columns are 'one', 'two'"),
        ("path,label\na.jpg,x\n", {"label": "kind"}, "no column 'kind', which --label-column names; the columns are"),
        ("path,label\na.jpg,x\n", {"path": "file"}, "no column 'file', which --path-column names"),
        ("path,cat,dog\na.jpg,1,1\nb.JPG,0,1\n", {}, r"line 2: 'cat\|dog' names several labels, .* give --multi-label"),
        ("path,cat,dog\na.jpg,1,0\nb.JPG,0,0\n", {}, "line 3: the photo has none of the labels: give --multi-label"),
    ],
)  # fmt: skip
def test_ambiguous_columns_are_refused_and_named(root: Path, text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        found(root, text, **options)


def test_columns_of_several_ones_are_several_labels(root: Path) -> None:
    file = labels(root, "path,cat,dog,owl\na.jpg,1,1,0\nb.JPG,0,0,0\nc,0,0,1\n")
    folder = find_photos(root, labels_file=file, multi_label=True)
    assert folder.classes == ("cat", "dog", "owl")
    assert {file.path: file.labels for file in folder.files} == {"a.jpg": (0, 1), "b.JPG": (), "images/c.png": (2,)}


def test_columns_without_a_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="give it with --labels"):
        label_file(None, "image", None)
    assert label_file(None, None, None) is None
    assert str(label_file(Path("x.csv"), "image", None)) == "x.csv"
