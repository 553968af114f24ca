import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.pictures import encode, png_header
from whisker.model.photo_files import ACCEPTED
from whisker.training.audit.doctor import Diagnosis, diagnose, print_diagnosis
from whisker.training.config import Grouping
from whisker.training.data.folders.folder import find_photos
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress


def scene(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Draw coarse random colours: like photos, no two are alike at thumbnail size."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture(scope="module")
def sound_files() -> dict[str, bytes]:
    seeds = {"cat": range(100), "dog": range(1000, 1100)}
    return {
        f"{label}/{seed % 1000:03}.jpg": encode(scene(seed), "JPEG")
        for label, numbers in seeds.items()
        for seed in numbers
    }


@pytest.fixture
def sound(tmp_path: Path, sound_files: dict[str, bytes]) -> Path:
    """Make a folder of 100 different photos a class, without a fault."""
    return write(tmp_path / "photos", sound_files)


def cases(diagnosis: Diagnosis) -> dict[str, list[str]]:
    return {finding.kind: [str(case) for case in finding.cases] for finding in diagnosis.findings}


def examine_with(root: Path, files: dict[str, bytes], quiet: Progress) -> dict[str, list[str]]:
    return cases(diagnose(find_photos(write(root, files)), [], quiet))


def test_sound_folder_has_no_findings(sound: Path, quiet: Progress) -> None:
    diagnosis = diagnose(find_photos(sound), [], quiet)
    assert diagnosis.counts == {"cat": 100, "dog": 100}
    assert diagnosis.summary() == "Nothing wrong was found in 200 files."
    assert cases(diagnosis) == {}


@pytest.mark.parametrize(
    ("kind", "files", "expected"),
    [
        ("unreadable", {"cat/a.jpg": b"hello"}, [f"cat/a.jpg (The file is not a {ACCEPTED} picture)"]),
        ("unreadable", {"cat/a.jpg": b""}, ["cat/a.jpg (The picture is empty: it has no bytes)"]),
        ("unreadable", {"cat/a.jpg": encode(scene(1), "JPEG")[:900]}, ["cat/a.jpg (The picture is damaged"]),
        ("unreadable", {"cat/a.png": png_header(20_000, 20_000)}, ["cat/a.png (The picture has "]),
        ("misnamed", {"cat/a.png": encode(scene(5001), "JPEG")}, ["cat/a.png (is a JPEG)"]),
        ("misnamed", {"cat/a.HEIC": encode(scene(5002), "WEBP")}, ["cat/a.HEIC (is a WEBP)"]),
        ("tiny", {"cat/a.png": encode(scene(5003, (90, 63)))}, ["cat/a.png (90 x 63)"]),
        ("flat", {"cat/a.png": encode(Image.new("RGB", (99, 99), (200, 30, 40)))}, ["cat/a.png"]),
        ("duplicate", {"cat/a.jpg": encode(scene(7), "JPEG")}, ["cat/007.jpg = cat/a.jpg (equal files)"]),
        ("duplicate", {"cat/a.png": encode(scene(7, (320, 240)))}, ["cat/007.jpg = cat/a.png"]),
        ("conflict", {"dog/a.jpg": encode(scene(7), "JPEG")}, ["cat/007.jpg = dog/a.jpg (cat, dog; equal files)"]),
        ("conflict", {"dog/a.webp": encode(scene(7), "WEBP", quality=60)}, ["cat/007.jpg = dog/a.webp (cat, dog)"]),
    ],
)  # fmt: skip
def test_fault_is_found_and_nothing_else(
    sound: Path, quiet: Progress, kind: str, files: dict[str, bytes], expected: list[str]
) -> None:
    found = examine_with(sound, files, quiet)
    assert list(found) == [kind]
    assert len(found[kind]) == len(expected)
    assert all(case.startswith(start) for case, start in zip(found[kind], expected, strict=True))


@pytest.mark.parametrize(
    "name_and_format", [("a.jpeg", "JPEG"), ("a.JPG", "JPEG"), ("a.jfif", "JPEG"), ("a", "PNG"), ("a.v2", "PNG")]
)
def test_right_and_unknown_endings_are_no_fault(sound: Path, quiet: Progress, name_and_format: tuple[str, str]) -> None:
    name, format_ = name_and_format
    assert examine_with(sound, {f"cat/{name}": encode(scene(5000), format_)}, quiet) == {}


def test_copies_in_two_classes_are_named_one_of_each_class_first(sound: Path, quiet: Progress) -> None:
    copy = encode(scene(7), "JPEG")
    found = examine_with(sound, {"cat/a.jpg": copy, "dog/a.jpg": copy}, quiet)
    assert found["conflict"] == ["cat/007.jpg = dog/a.jpg and 1 more (cat, dog; equal files)"]
    assert found["duplicate"] == ["cat/007.jpg = cat/a.jpg (equal files)"]


def test_copies_in_two_groups_are_named_one_of_each_group_first(sound: Path, quiet: Progress) -> None:
    files = {f"cat/{name}.jpg": encode(scene(8000), "JPEG") for name in ("A/1", "A/2", "B/1")}
    root = write(
        sound, files | {"dog/B/1.jpg": encode(scene(8001), "JPEG"), "dog/C/1.jpg": encode(scene(8002), "JPEG")}
    )
    found = cases(diagnose(find_photos(root, grouping=Grouping(folder_level=1)), [], quiet))
    assert found["group"] == ["cat/A/1.jpg = cat/B/1.jpg and 1 more (A, B; equal files)"]
    assert "group" not in cases(diagnose(find_photos(root), [], quiet))


def test_small_and_lopsided_classes_are_told_by_their_different_photos(sound: Path, quiet: Progress) -> None:
    copies = {f"fox/{index}.jpg": encode(scene(9000), "JPEG", quality=60 + index) for index in range(20)}
    found = examine_with(sound, copies, quiet)
    assert found["few"] == ["fox (1)"]
    assert found["imbalance"] == ["fox (1, and 100 of cat)"]


def test_single_class_without_a_readable_photo_is_told(tmp_path: Path, quiet: Progress) -> None:
    root = write(tmp_path / "photos", {"cat/a.jpg": b"hello"})
    diagnosis = diagnose(find_photos(root, min_classes=1), [], quiet)
    assert list(cases(diagnosis)) == ["unreadable", "few"]
    assert diagnosis.counts == {"cat": 0}


def test_photos_of_another_folder_are_found_though_scaled_and_deep(
    sound: Path, tmp_path: Path, quiet: Progress
) -> None:
    other = write(
        tmp_path / "test",
        {
            "deep/cat/near.png": encode(scene(3, (300, 220))),
            "equal.jpg": encode(scene(4), "JPEG"),
            "new.jpg": encode(scene(7000), "JPEG"),
            "twin.jpg": encode(scene(7000), "JPEG"),
            "broken.jpg": b"hello",
            ".hidden.jpg": encode(scene(5), "JPEG"),
        },
    )
    found = cases(diagnose(find_photos(sound), [other], quiet))
    assert found == {
        "leak": [f"cat/003.jpg = {other}/deep/cat/near.png", f"cat/004.jpg = {other}/equal.jpg (equal files)"]
    }


def missing(sound: Path) -> Path:
    return sound.parent / "missing"


def within(sound: Path) -> Path:
    return sound / "cat"


def around(sound: Path) -> Path:
    return sound.parent


@pytest.mark.parametrize(
    ("other", "message"),
    [(missing, "There is no folder"), (within, "hold the same files"), (around, "hold the same files")],
)
def test_folder_that_cannot_be_compared_with_is_refused(
    sound: Path, quiet: Progress, other: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        diagnose(find_photos(sound), [other(sound)], quiet)


def test_labels_of_a_file_count_and_not_the_folders(sound: Path, tmp_path: Path, quiet: Progress) -> None:
    write(sound, {"dog/a.jpg": encode(scene(7), "JPEG")})
    (tmp_path / "labels.csv").write_text("path,label\ndog/a.jpg,cat\n")
    diagnosis = diagnose(find_photos(sound, labels_file=tmp_path / "labels.csv"), [], quiet)
    assert cases(diagnosis) == {"duplicate": ["cat/007.jpg = dog/a.jpg (equal files)"]}
    assert diagnosis.counts == {"cat": 101, "dog": 100}


def test_sub_folder_to_compare_with_that_cannot_be_read_is_refused(
    tmp_path: Path, sound: Path, quiet: Progress, deny: Callable[[Path], None]
) -> None:
    other = write(tmp_path / "other", {"a.jpg": encode(scene(7), "JPEG"), "b/c.jpg": b"hello"})
    deny(other / "b")
    with pytest.raises(DatasetError, match=r"The folder .*other/b/? cannot be read: Permission denied\."):
        diagnose(find_photos(sound), [other], quiet)


def test_no_file_is_changed(sound: Path, quiet: Progress) -> None:
    write(sound, {"cat/a.png": encode(scene(7), "JPEG"), "dog/b.jpg": b"hello"})
    before = {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()}
    diagnose(find_photos(sound), [], quiet)
    assert {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()} == before


def test_table_names_the_most_serious_first_and_json_names_all(sound: Path, quiet: Progress) -> None:
    broken = {f"cat/broken {index}.jpg": b"[red]" for index in range(5)}
    copies = {"dog/a[1].png": encode(scene(7), "JPEG")}
    diagnosis = diagnose(find_photos(write(sound, broken | copies)), [], quiet)
    output = io.StringIO()
    print_diagnosis(diagnosis, Console(file=output, width=160))
    lines = output.getvalue().splitlines()
    assert lines[0] == "Readable photos: cat 100, dog 101"
    assert lines[-1] == "Found 3 kinds of faults in 206 files, the most serious first; no file was changed."
    text = output.getvalue()
    assert text.index("several classes") < text.index("No readable picture") < text.index("format differ")
    assert "dog/a[1].png" in text
    assert "broken 3.jpg" not in text
    report = json.loads(json.dumps(diagnosis.to_json()))
    assert [(finding["kind"], len(finding["cases"])) for finding in report["findings"]] == [
        ("conflict", 1),
        ("unreadable", 5),
        ("misnamed", 1),
    ]
    assert report["findings"][0]["cases"][0]["names"] == ["cat/007.jpg", "dog/a[1].png"]
