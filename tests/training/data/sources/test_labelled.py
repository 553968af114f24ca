"""Tables and shards: which columns are read, what labels may be, and what is refused in one sentence."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.console import Console

from tests.training.data.sources.making import FEATURES, IMAGE, saved, table_of, tar_of
from whisker.training.config import Grouping
from whisker.training.data.folders.folder import PhotoFolder, find_photos
from whisker.training.data.sources.kinds import source_name
from whisker.training.data.sources.labelled import samples
from whisker.training.data.sources.source import Choices, Opened, open_source
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

PHOTO = b"\xff\xd8\xff" + bytes(range(200))
PHOTOS = [PHOTO + bytes([number]) for number in range(4)]


def write(target: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), target / "x.parquet")
    return target / "x.parquet"


def unpack(source: Path, work: Path, choices: Choices | None = None) -> tuple[Opened, str]:
    said = io.StringIO()
    return open_source(source, [work], Progress(Console(file=said, width=1_000)), choices), said.getvalue()


def read(source: Path, work: Path, choices: Choices | None = None, **options: Any) -> tuple[PhotoFolder, str]:
    opened, said = unpack(source, work, choices)
    return find_photos(opened.root, labels_file=opened.labels, **options), said


def labelled(folder: PhotoFolder) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((Path(it.path).name, tuple(folder.classes[label] for label in it.labels)) for it in folder.files)


REFUSED: dict[str, tuple[Callable[[Path], Path], Choices, str]] = {
    "two photos": (
        lambda t: write(t, left=PHOTOS, right=PHOTOS, label=[0, 1, 0, 1]),
        Choices(),
        r"'left' and 'right' may all hold the photos: choose one with --path-column; the columns are 'left', 'ri",
    ),
    "two labels": (
        lambda t: write(t, photo=PHOTOS, fine=[0, 1, 0, 1], coarse=["a", "b", "a", "b"]),
        Choices(),
        "'fine' and 'coarse' may all hold the labels: choose one with --label-column",
    ),
    "no photo": (lambda t: write(t, path=["a.jpg"], label=["cat"]), Choices(), "no column holds photos; the columns"),
    "no label": (lambda t: write(t, photo=PHOTOS, height=[0.5] * 4), Choices(), "no column holds labels"),
    "no such column": (
        lambda t: write(t, photo=PHOTOS, label=[0, 1, 0, 1]),
        Choices(label="kind"),
        "there is no column 'kind', which --label-column names; the columns are 'photo', 'label'",
    ),
    "column of another kind": (
        lambda t: write(t, photo=PHOTOS, label=[0, 1, 0, 1]),
        Choices(photo="label"),
        "the column 'label' holds no photos, which --path-column names",
    ),
    "labels unknown": (
        lambda t: saved(table_of([("a.jpg", PHOTO, -1)]), t / "hf"),
        Choices(),
        "holds no labelled photos, but 1 photo whose labels are unknown",
    ),
    "paths alone": (
        lambda t: write(t, image=pa.array([{"bytes": None, "path": "/a.jpg"}] * 2, IMAGE), label=["a", "b"]),
        Choices(),
        "holds no labelled photos, but 2 photos whose bytes are not in the source",
    ),
    "label without a name": (
        lambda t: saved(table_of([("a.jpg", PHOTO, 7)]), t / "hf"),
        Choices(),
        "'label' has the class 7, of which it gives no name",
    ),
    "separator": (
        lambda t: write(t, photo=PHOTOS[:1], label=["a|b"]),
        Choices(),
        r"The class 'a\|b' .* rename it there",
    ),
    "unknown numbers": (
        lambda t: write(t, photo=PHOTOS, label=[-1] * 4),
        Choices(),
        "but 4 photos whose labels are unknown",
    ),
    "separator in a file of names": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.cls": b"0", "classes.txt": b"a|b"}, t / "x.tar"),
        Choices(),
        r"The class 'a\|b' .* rename it there",
    ),
    "blank name": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.cls": b"0", "classes.txt": b"\ncat\n"}, t / "x.tar"),
        Choices(),
        "gives the class 0 no name",
    ),
    "number of many digits": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.cls": b"1" * 5_000, "classes.txt": b"cat"}, t / "x.tar"),
        Choices(),
        "has the class 1{80}, and only 1 class is named",
    ),
    "label of many characters": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.txt": b"a" * 200_000}, t / "x.tar"),
        Choices(),
        "is a text of 200,000 characters, 'a{80}'...",
    ),
    "JSON in JSON": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.json": b"[" * 9_000 + b"]" * 9_000}, t / "x.tar"),
        Choices(),
        r"1\.json holds too many lists or fields in each other",
    ),
    "no rows": (lambda t: write(t, photo=pa.array([], pa.binary()), label=[]), Choices(), "no column holds labels"),
    "no table": (
        lambda t: (t / "x.parquet", (t / "x.parquet").write_bytes(b"PAR1" * 9))[0],
        Choices(),
        "is damaged, or no",
    ),
    "shards that are none": (
        lambda t: tar_of({"cat/1.jpg": PHOTO}, t / "cat.tar").parent,
        Choices(),
        r"holds archives that are no WebDataset shards, cat\.tar first: give one archive",
    ),
    "two photos a sample": (
        lambda t: tar_of({"1.left.jpg": PHOTO, "1.right.jpg": PHOTO, "1.cls": b"0"}, t / "x.tar"),
        Choices(),
        r"1 has several photos, left\.jpg and right\.jpg: choose one with --path-column",
    ),
    "too few names": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.cls": b"3", "classes.txt": b"cat\ndog\n"}, t / "x.tar"),
        Choices(),
        "has the class 3, and only 2 classes are named",
    ),
    "fields": (
        lambda t: tar_of({"1.jpg": PHOTO, "1.json": b'{"a": 1, "b": 2}'}, t / "x.tar"),
        Choices(),
        "has the fields 'a', 'b': name the label's with --label-column",
    ),
    "no JSON": (lambda t: tar_of({"1.jpg": PHOTO, "1.json": b"{"}, t / "x.tar"), Choices(), r"1\.json is not JSON"),
    "address": (
        lambda _: Path("s3://bucket/photos.zip"),
        Choices(),
        "s3://bucket/photos.zip is an address: download it f",
    ),
    "pattern": (lambda t: t / "x-{00..03}.tar", Choices(), r"There is no file .*/x-00\.tar, which .* names"),
    "long pattern": (lambda t: t / "x-{0..200000}{0..99999}.tar", Choices(), "names more than 100,000 files: give the"),
    "CSV": (
        lambda t: (t / "x.csv", (t / "x.csv").write_text("a,b"))[0],
        Choices(),
        "is a CSV file, which --labels takes",
    ),
    "RAR": (lambda t: (t / "x", (t / "x").write_bytes(b"Rar!" * 9))[0], Choices(), "is a RAR archive: give a folder"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_unusable_tables_and_shards_are_refused(kind: str, tmp_path: Path) -> None:
    make, choices, message = REFUSED[kind]
    with pytest.raises(DatasetError, match=message) as refused:
        unpack(make(tmp_path), tmp_path / "run", choices)
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "run").glob("*/photos"))


@pytest.mark.parametrize("name", ["x.parquet", "x.tar.zst"])
def test_missing_library_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, photo=PHOTOS)
    (tmp_path / "x.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    for module in ("pyarrow", "compression"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DatasetError, match=r"PyArrow.*: run `pip install 'whisker-vision\[parquet\]'`"):
        unpack(tmp_path / name, tmp_path / "run")


def test_columns_are_chosen_by_options(tmp_path: Path) -> None:
    source = write(tmp_path, left=PHOTOS, right=[*reversed(PHOTOS)], fine=[0, 1, 0, 1], coarse=["a", "b", "b", "a"])
    folder, said = read(source, tmp_path / "run", Choices("right", "coarse"))
    assert [files for _, files in labelled(folder)] == [("a",), ("b",), ("b",), ("a",)]
    assert {(folder.root / it.path).read_bytes() for it in folder.files} == {*PHOTOS}
    _, said = read(source, tmp_path / "run", Choices("right", "fine"))
    assert "The classes are called by their numbers" in said
    assert {(folder.root / it.path).read_bytes() for it in folder.files} == {*PHOTOS}  # another command may read them


def test_names_labels_and_groups_are_kept(tmp_path: Path) -> None:
    labels = ["T-shirt/top", "photos-0000", "photos-0000", None]
    names = ["../../etc/a.jpg", "b.jpg", "b.jpg", "d.jpg"]
    cells = [{"bytes": data, "path": name} for data, name in zip(PHOTOS, names, strict=True)]
    source = write(tmp_path, image=cells, label=labels, patient=[1, 2, 2, 3])
    folder, said = read(source, tmp_path / "run", grouping=Grouping.parse("patient"))
    assert labelled(folder) == [("a.jpg", ("T-shirt/top",)), ("b-2.jpg", ("photos-0000",)), ("b.jpg", ("photos-0000",))]
    assert {it.group for it in folder.files} == {"1", "2"}
    assert folder.note == ""
    assert "Left out: 1 photo whose labels are unknown." in said


def test_several_labels_a_photo_are_those_of_a_file_of_labels(tmp_path: Path) -> None:
    features = {"image": FEATURES["image"], "tags": {"feature": FEATURES["label"], "_type": "List"}}
    table = table_of([("a.jpg", PHOTOS[0], 0), ("b.jpg", PHOTOS[1], 0), ("c.jpg", PHOTOS[2], 0)]).drop_columns("label")
    table = table.append_column("tags", pa.array([[0, 1], [], [1]], pa.list_(pa.int64())))
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    source = saved(table, tmp_path / "hf")
    folder, said = read(source, tmp_path / "run", multi_label=True)
    assert labelled(folder) == [("a.jpg", ("rings", "stripes")), ("b.jpg", ()), ("c.jpg", ("stripes",))]
    assert "2 classes, several of them to a photo, 3 photos" in said
    with pytest.raises(DatasetError, match=r"'rings\|stripes' names several labels, .*: give --multi-label"):
        read(source, tmp_path / "run")


@pytest.mark.parametrize(
    ("files", "choices", "expected"),
    [
        ({"1.json": b'{"label": "cat", "size": 3}', "2.json": b'{"label": "dog"}'}, Choices(), ["cat", "dog"]),
        ({"1.json": b'{"a": 1, "b": ["x"]}', "2.json": b'{"a": 1, "b": ["y"]}'}, Choices(label="b"), ["x", "y"]),
        ({"1.txt": b"cat\n", "2.txt": b" dog"}, Choices(), ["cat", "dog"]),
        ({"1.cls": b"0", "2.cls": b"1", "classes.txt": b"cat\n\xc3\xa4ffe\n"}, Choices(), ["cat", "äffe"]),
        (
            {"1.cls": b"0", "2.cls": b"2", "3.jpg": b"?", "3.json": b"[-1]", "classes.txt": b"crane\ncat\ncrane\n\n"},
            Choices(),
            ["crane", "crane (2)"],
        ),
        ({"1.cls": b"0", "2.cls": b"dog", "classes.txt": b"cat\ndog\n"}, Choices(), ["0", "dog"]),
        ({"1.cls": b"0", "1.id": b"a", "2.cls": b"1", "2.id": b"b"}, Choices(label="id"), ["a", "b"]),
        ({"1.cls": b"10", "2.cls": b"9", "3.jpg": b"?", "3.cls": b"-1"}, Choices(), ["10", "9"]),
    ],
)
def test_labels_of_samples(files: dict[str, bytes], choices: Choices, expected: list[str], tmp_path: Path) -> None:
    files = dict(sorted({**files, "1.jpg": PHOTOS[0], "2.jpg": PHOTOS[1]}.items()))
    folder, said = read(tar_of(files, tmp_path / "x.tar"), tmp_path / "run", choices)
    assert labelled(folder) == [("1.jpg", (expected[0],)), ("2.jpg", (expected[1],))]
    assert ("as no classes.txt with their names" in said) == (expected == ["10", "9"])
    assert ("1 class has the name of an earlier class, and a number behind it: crane (2)." in said) == (
        "crane" in expected
    )
    assert ("The names of numbered classes are not used, as 'dog' is a label, too." in said) == (expected[0] == "0")


def test_photos_that_are_too_long_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_FILE_BYTES", 1_000)
    files = {"1.jpg": PHOTO, "1.cls": b"cat", "2.jpg": bytes(1_001), "2.cls": b"dog", "3.jpg": bytes(1_001)}
    _, said = unpack(tar_of(files, tmp_path / "x.tar"), tmp_path / "run")
    assert "Left out: 2 photos of more than 500 MB." in said


def test_equal_names_of_a_class_label_are_classes_of_their_own(tmp_path: Path) -> None:
    label = {"_type": "ClassLabel", "names": ["crane", "crane (2)", " crane", "crane"]}
    table = table_of([(f"{number}.jpg", photo, number) for number, photo in enumerate(PHOTOS)])
    document = json.dumps({"info": {"features": {**FEATURES, "label": label}}})
    folder, said = read(saved(table.replace_schema_metadata({"huggingface": document}), tmp_path / "hf"), tmp_path)
    assert [classes for _, classes in labelled(folder)] == [("crane",), ("crane (2)",), ("crane (3)",), ("crane (4)",)]
    assert "2 classes have the name of an earlier class" in said


def test_archive_of_class_folders_with_texts_beside_the_photos_is_no_shard(tmp_path: Path) -> None:
    files = {"cat/1.jpg": PHOTO, "cat/1.txt": b"3 4 5", "dog/1.jpg": PHOTO, "dog/1.txt": b"1 2 3"}
    assert "a tar archive of 2 class folders" in unpack(tar_of(files, tmp_path / "x.tar"), tmp_path / "run")[1]


def test_photos_of_other_things_need_no_labels(tmp_path: Path) -> None:
    opened, said = unpack(write(tmp_path, photo=PHOTOS), tmp_path / "run", Choices(labelled=False))
    assert len(list(opened.root.rglob("*.jpg"))) == 4
    assert "x.parquet: 1 Parquet file of 4 photos; unpacked once" in said


def test_archive_without_labels_is_unpacked_once_whatever_is_chosen(tmp_path: Path) -> None:
    source = tar_of({"cat/1.jpg": PHOTO, "dog/1.jpg": PHOTO}, tmp_path / "x.tar")
    first, _ = unpack(source, tmp_path / "run", Choices(labelled=False))
    again, said = unpack(source, tmp_path / "run", Choices(label="kind"))
    assert again.root == first.root
    assert "unpacked earlier to" in said


def test_sources_give_their_results_a_name(tmp_path: Path) -> None:
    names = {
        "photos.tar.gz": "photos",
        "flowers-v1.2.zip": "flowers-v1.2",
        "beans-train-00000-of-00003.parquet": "beans-train",
        "flowers-{000..007}.tar": "flowers",
        "train-*.parquet": tmp_path.name,
        "folder": "folder",
    }
    assert {name: source_name(tmp_path / name) for name in names} == names


def test_labels_are_written_as_spreadsheets_read_them(tmp_path: Path) -> None:
    opened, _ = unpack(write(tmp_path, photo=PHOTOS[:2], label=["=1", "b"], who=["=2", "c"]), tmp_path / "run")
    assert opened.labels is not None
    rows = list(csv.reader(opened.labels.path.read_text().splitlines()))
    first, second = "photos-0000/00000000.jpg", "photos-0000/00000001.jpg"
    assert rows == [["path", "label", "who"], [first, "'=1", "'=2"], [second, "b", "c"]]
