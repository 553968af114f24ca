"""Commands take archives and tables in the place of a folder, and unpack them once between them."""

from pathlib import Path

import pytest
from pyarrow import parquet

from tests.pictures import CLASSES, write_folder
from tests.test_whisker import run
from tests.training.data.sources.making import files_of, photos_of, table_of, zip_of
from whisker.model import Checkpoint, load_checkpoint, save_checkpoint
from whisker.model.errors import ConfigError
from whisker.training.cli.options.photos import open_photos
from whisker.training.data.folders.folder import find_photos
from whisker.training.progress import Progress

SMALL = ("--family", "mlp", "--width", "8", "--depth", "1", "--size", "32", "--epochs", "1", "--dtype", "float32")


def test_doctor_train_and_evaluate_share_what_is_unpacked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    zip_of(files_of(write_folder(tmp_path / "photos", 5)), tmp_path / "pets.zip")
    zip_of({"a.png": files_of(tmp_path / "photos")["rings/000.png"]}, tmp_path / "known.zip")
    code, shown, said = run(monkeypatch, capsys, "doctor", "pets.zip")
    assert code == 0
    assert "pets.zip: a zip archive of 2 class folders, 10 photos; unpacked once to pets.run/sources/pets-" in said
    assert "Readable photos: rings 5, stripes 5" in shown
    code, shown, _ = run(monkeypatch, capsys, "train", "pets.zip", *SMALL, "--outliers", "known.zip")
    assert "The folder pets.run/sources/known-" in str(code)
    assert "holds no readable picture of anything else" in str(code)
    code, shown, _ = run(monkeypatch, capsys, "train", "pets.zip", *SMALL)
    assert code == 0
    assert "pets.zip: a zip archive of 2 class folders, 10 photos; unpacked earlier to pets.run/sources/pets-" in shown
    checkpoint = load_checkpoint(tmp_path / "pets.safetensors")
    assert checkpoint.classes == CLASSES
    assert checkpoint.provenance["command"].startswith("whisker train pets.zip --family")
    code, shown, said = run(monkeypatch, capsys, "evaluate", "pets.safetensors", "pets.zip")
    assert code == 0
    assert "unpacked earlier to" in said
    assert shown.startswith("Accuracy: ")


def test_labels_that_doctor_writes_go_with_a_table(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    untrained: Checkpoint,
    quiet: Progress,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(untrained, tmp_path / "c.safetensors")
    parquet.write_table(table_of(photos_of(write_folder(tmp_path / "photos", 3))), tmp_path / "pets.parquet")
    words = ("doctor", "pets.parquet", "--checkpoint", "c.safetensors", "--out", "new.csv")
    code, shown, _ = run(monkeypatch, capsys, *words)
    assert code == 0
    assert "whisker train pets.parquet --labels new.csv" in shown
    text = (tmp_path / "new.csv").read_text()
    (tmp_path / "new.csv").write_text(text.replace("/000-2.png,stripes", "/000-2.png,rings"))
    root, file = open_photos(Path("pets.parquet"), Path("new.csv"), None, None, quiet)
    assert [it.label for it in find_photos(root, labels_file=file).files] == [0, 0, 0, 0, 1, 1]


def test_file_of_labels_may_lie_in_the_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quiet: Progress
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = files_of(write_folder(tmp_path / "photos", 2))
    zip_of({**photos, "a.csv": b"path,label\nrings/000.png,stripes\n", "b.csv": b"?"}, tmp_path / "pets.zip")
    root, file = open_photos(Path("pets.zip"), Path("a.csv"), None, None, quiet)
    assert find_photos(root, labels_file=file).note.startswith("a.csv labels 1 photos")
    with pytest.raises(ConfigError, match="--path-column and --label-column name columns of a file of labels"):
        open_photos(Path("pets.zip"), None, "image", None, quiet)
