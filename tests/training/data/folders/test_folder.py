import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import draw, write_folder
from whisker.model.plain_text import printable
from whisker.model.preprocessing import Preprocessing
from whisker.training.config import Grouping
from whisker.training.data.cache import decode_photos
from whisker.training.data.dataset import batched
from whisker.training.data.fingerprints import data_fingerprint
from whisker.training.data.folders.folder import find_photos, label_matrix
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.progress import Progress

PREPROCESSING = Preprocessing(size=32)


def test_photos_are_found_at_any_depth_in_sorted_order(tmp_path: Path) -> None:
    for name in (
        "b/2.jpg",
        "b/deep/er/1.jpg",
        "a/x.png",
        "a/.hidden.png",
        ".git/a.png",
        "b/.thumbs/1.png",
        "loose.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder = find_photos(tmp_path)
    assert folder.classes == ("a", "b")
    assert [(file.path, file.label) for file in folder.files] == [
        ("a/x.png", 0),
        ("b/2.jpg", 1),
        ("b/deep/er/1.jpg", 1),
    ]


@pytest.mark.parametrize("folder", ["cat", "cat/deep"])
def test_folder_that_cannot_be_read_is_refused(tmp_path: Path, folder: str, deny: Callable[[Path], None]) -> None:
    for name in ("cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    deny(tmp_path / folder)
    with pytest.raises(DatasetError, match=rf"The folder .*/{folder}/? cannot be read: Permission denied\."):
        find_photos(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, "There is no folder"),
        ([], "holds no class folders"),
        (["photo.jpg"], "holds no class folders"),
        (["cat/1.jpg"], "only one class, 'cat'"),
        (["cat/1.jpg", "dog/"], "dog is empty"),
        (["cat/1.jpg", "dog/.DS_Store"], "dog is empty"),
    ],
)
def test_folder_that_cannot_be_trained_on_is_refused(tmp_path: Path, names: list[str] | None, message: str) -> None:
    root = tmp_path / "photos"
    for name in names or []:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir() if name.endswith("/") else (root / name).touch()
    if names is not None:
        root.mkdir(exist_ok=True)
    with pytest.raises(DatasetError, match=message):
        find_photos(root)


def test_decoded_pixels_are_those_of_the_preprocessing(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 3)
    paths = [file.path for file in find_photos(root).files]
    pixels, results = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(pixels[row], PREPROCESSING.decode((root / path).read_bytes()))
    assert not any(result.error for result in results)
    assert len({result.sha256 for result in results}) == 6


def test_unreadable_files_are_quarantined_with_their_reason(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 2)
    (root / "rings" / "text.jpg").write_text("hello")
    (root / "rings" / "dangling.jpg").symlink_to("nowhere")
    (root / "rings" / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(root / "rings" / "pipe.jpg")
    (root / "rings" / "cut.png").write_bytes((root / "rings" / "000.png").read_bytes()[:200])
    paths = ["rings/000.png", "rings/text.jpg", "rings/cut.png", "rings/dangling.jpg"]
    paths += ["rings/itself.jpg", "rings/pipe.jpg"]
    _, results = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    assert [bool(result.error) for result in results] == [False, True, True, True, True, True]
    assert "cannot be read: Too many levels of symbolic links" in results[4].error
    assert "cannot be read: Is a named pipe" in results[5].error
    assert "not a JPEG" in results[1].error
    assert "damaged" in results[2].error
    assert "cannot be read: No such file" in results[3].error
    assert set(paths) <= {file.path for file in find_photos(root).files}


def decoded_rows(cache: Path) -> int:
    return len((cache / "journal.jsonl").read_text().splitlines())


def test_second_run_decodes_nothing(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 3)
    paths = [file.path for file in find_photos(root).files]
    first, results = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    first[0] = 7  # a mark that decoding again would overwrite
    first.flush()  # type: ignore[attr-defined]
    second, again = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    assert (second[0] == 7).all()
    assert again == results


def test_interrupted_decoding_continues_where_it_stopped(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 3)
    paths = [file.path for file in find_photos(root).files]
    cache = tmp_path / "cache"
    whole, results = decode_photos(root, paths, PREPROCESSING, cache, quiet)
    expected = whole.copy()
    lines = (cache / "journal.jsonl").read_text().splitlines(keepends=True)
    (cache / "journal.jsonl").write_text("".join(lines[:2]) + lines[2][:20])  # killed in the middle of a line
    whole[0], whole[2:] = 7, 0
    whole.flush()  # type: ignore[attr-defined]
    resumed, again = decode_photos(root, paths, PREPROCESSING, cache, quiet)
    assert again == results
    assert (resumed[0] == 7).all()  # done before, so not done again
    np.testing.assert_array_equal(resumed[1:], expected[1:])
    assert decoded_rows(cache) == 6


def spoil_pixels(cache: Path) -> None:
    content = (cache / "pixels.npy").read_bytes()
    (cache / "pixels.npy").write_bytes(content[: len(content) // 2])


def spoil_journal(cache: Path) -> None:
    lines = (cache / "journal.jsonl").read_text().splitlines(keepends=True)
    (cache / "journal.jsonl").write_text("".join([lines[0], "[1, 2]\n", *lines[2:]]))


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_pixels,
        spoil_journal,
        lambda cache: (cache / "pixels.npy").unlink(),
        lambda cache: (cache / "journal.jsonl").unlink(),
        lambda cache: (cache / "key").unlink(),
    ],
)
def test_damaged_cache_is_made_again(spoil: Callable[[Path], None], tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 3)
    paths = [file.path for file in find_photos(root).files]
    pixels, results = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    expected = pixels.copy()
    spoil(tmp_path / "cache")
    again, results_again = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    np.testing.assert_array_equal(again, expected)
    assert results_again == results


def test_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 1)
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="cannot be written: Not a directory"):
        decode_photos(root, ["rings/000.png"], PREPROCESSING, tmp_path / "file" / "cache", quiet)


def test_huge_file_is_quarantined_unread(tmp_path: Path, quiet: Progress) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(4 * 10**12)  # sparse: it takes no space, but no machine could read it
    _, results = decode_photos(tmp_path, ["huge.png"], PREPROCESSING, tmp_path / "cache", quiet)
    assert "more than 500,000,000 bytes" in results[0].error


def test_name_that_is_not_utf8_is_printable_or_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 1)
    raw = os.fsencode(root)
    Path(os.fsdecode(raw + b"/rings/caf\xe9.png")).write_bytes(b"hello")
    names = [printable(file.path) for file in find_photos(root).files]
    assert names == ["rings/000.png", r"rings/caf\udce9.png", "stripes/000.png"]
    Path(os.fsdecode(raw + b"/caf\xe9")).mkdir()
    with pytest.raises(DatasetError, match="is not UTF-8: rename it"):
        find_photos(root)


def test_changed_file_or_size_begins_a_new_cache(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 2)
    paths = [file.path for file in find_photos(root).files]
    before, _ = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    old = before[0].copy()
    draw("rings", 99, (64, 64)).save(root / paths[0])
    after, _ = decode_photos(root, paths, PREPROCESSING, tmp_path / "cache", quiet)
    assert (after[0] != old).any()
    larger, _ = decode_photos(root, paths, Preprocessing(size=48), tmp_path / "cache", quiet)
    assert larger.shape == (4, 48, 48, 3)


def test_fingerprint_follows_content_and_class_not_names(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 2)

    def fingerprint() -> str:
        folder = find_photos(root)
        _, results = decode_photos(root, [file.path for file in folder.files], PREPROCESSING, tmp_path / "cache", quiet)
        return data_fingerprint([file.labels for file in folder.files], folder.classes, results)

    original = fingerprint()
    (root / "rings" / "000.png").rename(root / "rings" / "zzz.png")
    assert fingerprint() == original
    (root / "rings" / "zzz.png").rename(root / "stripes" / "zzz.png")
    assert fingerprint() != original


def test_batches_cover_everything_once() -> None:
    assert [batch.tolist() for batch in batched(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


def test_links_and_copies_in_several_class_folders_are_one_photo_of_several_labels(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 3)
    rings, stripes = root / "rings", root / "stripes"
    (stripes / "link.png").symlink_to("../rings/000.png")
    (stripes / "hard.png").hardlink_to(rings / "001.png")
    (stripes / "copy.png").write_bytes((rings / "002.png").read_bytes())
    (rings / "003.png").write_bytes((rings / "002.png").read_bytes())  # a copy in the same folder
    (rings / "004.png").write_bytes((rings / "000.png").read_bytes()[:-1] + b"x")  # of the same size
    folder = find_photos(root, multi_label=True)
    assert folder.note == "3 of 7 photos have several labels."
    assert [(file.path, file.labels) for file in folder.files] == [
        ("rings/004.png", (0,)),
        ("rings/000.png", (0, 1)),
        ("rings/001.png", (0, 1)),
        ("rings/002.png", (0, 1)),
        ("stripes/000.png", (1,)),
        ("stripes/001.png", (1,)),
        ("stripes/002.png", (1,)),
    ]
    assert len(find_photos(root).files) == 11  # with one label each, as ever


@pytest.mark.parametrize("named", ["rings/000.png", "stripes/link.png"])
def test_group_of_a_photo_is_that_of_any_of_its_paths(tmp_path: Path, named: str) -> None:
    root = write_folder(tmp_path / "photos", 2)
    (root / "stripes" / "link.png").symlink_to("../rings/000.png")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"path,label,patient\n{named},rings|stripes,p7\nrings/001.png,rings,p7\n")
    folder = find_photos(root, labels_file=labels, grouping=Grouping(column="patient"), multi_label=True)
    assert [file.path for file in folder.files if file.group == "p7"] == ["rings/001.png", "rings/000.png"]


def test_photo_in_two_groups_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 2)
    for path in ("rings/p1/a.png", "stripes/p2/a.png"):
        (root / path).parent.mkdir()
        (root / path).write_bytes((root / "rings" / "000.png").read_bytes()[:-1] + b"x")
    with pytest.raises(DatasetError, match=r"rings/p1/a.png and stripes/p2/a.png are the same photo, but of the gr"):
        find_photos(root, grouping=Grouping(folder_level=1), multi_label=True)


def test_labels_are_marked_in_a_matrix() -> None:
    assert label_matrix([(0, 2), (1,), ()], 3).tolist() == [[True, False, True], [False, True, False], [False] * 3]


def test_files_that_are_no_pictures_are_not_taken_for_copies(tmp_path: Path) -> None:
    for name in ("cat/empty.jpg", "dog/empty.jpg", "cat/notes.txt", "dog/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if "empty" in name else "the same")
    (tmp_path / "cat" / "nowhere.jpg").symlink_to("nowhere")
    (tmp_path / "dog" / "nowhere.jpg").symlink_to("nowhere")
    files = find_photos(tmp_path, multi_label=True).files
    assert len(files) == 6
    assert {len(file.labels) for file in files} == {1}


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202etac", "a\x9bb"])
def test_class_folder_whose_name_a_terminal_obeys_is_refused(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path / "photos", 1)
    (root / name).mkdir()
    with pytest.raises(DatasetError, match="cannot be printed: rename it") as raised:
        find_photos(root)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("target", [".", "..", "/"])
def test_class_folder_that_is_a_link_to_what_it_lies_in_is_refused(tmp_path: Path, target: str) -> None:
    root = write_folder(tmp_path / "photos", 1)
    (root / "circle").symlink_to(target)
    with pytest.raises(DatasetError, match="a link to the folder that it lies in"):
        find_photos(root)


def test_link_to_itself_among_class_folders_is_none(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 1)
    (root / "itself").symlink_to("itself")
    assert find_photos(root).classes == ("rings", "stripes")
