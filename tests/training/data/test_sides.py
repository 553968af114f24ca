"""Data sets that are divided already, and classes too small to divide: what a training learns from and is tested on."""

import io
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.conftest import TINY
from tests.model.card.summaries import summary
from whisker.model.card.wording.facts import list_data_facts
from whisker.model.card.wording.sentences import describe_limits
from whisker.model.errors import ConfigError
from whisker.training.audit.doctor import diagnose
from whisker.training.cli.options.training import NetworkOptions, TrainingOptions
from whisker.training.config import Grouping, TrainingConfig, TransferRecipe, recipe_for
from whisker.training.data.dataset import Dataset, Split
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.preparation import prepare_dataset
from whisker.training.data.sides import split_by_sides
from whisker.training.data.split import SplitIndices
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

CONFIG = TrainingConfig(recipe_for("quick", TINY, 1), TINY)


def write(root: Path, folders: str) -> Path:
    """Write so many different pictures into each folder: `train/cat 3, train/dog 2`."""
    rng = np.random.default_rng(0)
    for folder, photos in (spec.split(" ") for spec in folders.split(", ")):
        (root / folder).mkdir(parents=True)
        for number in range(int(photos)):
            coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
            coarse.resize((32, 32)).save(root / folder / f"{number}.png")
    return root


def prepare(root: Path, config: TrainingConfig = CONFIG, *, skip_small: bool = False) -> tuple[Dataset, str]:
    said = io.StringIO()
    progress = Progress(Console(file=said, width=500))
    work = root.with_name(f"{root.name}.run")
    return prepare_dataset(root, config, work, progress, skip_small=skip_small), said.getvalue()


def tops(split: Split) -> Counter[str]:
    return Counter(file.split("/")[0] for file in split.files)


def test_sides_are_the_splits(tmp_path: Path) -> None:
    root = write(tmp_path / "ds", "train/cat 4, train/dog 3, val/cat 2, val/dog 1, test/cat 1, test/dog 2")
    dataset, said = prepare(root)
    assert dataset.classes == ("cat", "dog")
    assert [tops(split) for split in (dataset.train, dataset.validation, dataset.test)] == [
        {"train": 7},
        {"val": 3},
        {"test": 3},
    ]
    assert "Sides found in the folder, and used as they are: train (train), val (validation), test (test)." in said
    assert "look the same" not in said
    assert prepare(root)[0].split == dataset.split


@pytest.mark.parametrize(("side", "missing"), [("val", "test"), ("test", "validation")])
def test_own_split_takes_the_place_of_a_missing_side_only(tmp_path: Path, side: str, missing: str) -> None:
    dataset, said = prepare(write(tmp_path / "ds", f"train/cat 12, train/dog 12, {side}/cat 2, {side}/dog 2"))
    given, own = dataset.validation, dataset.test
    if side == "test":
        given, own = own, given
    assert tops(given) == {side: 4}
    assert set(tops(own)) == {"train"}
    assert len(own.rows) + len(dataset.train.rows) == 24
    assert f"Without photos of their own: {missing}. Some of train are set aside for that." in said


def test_unlabelled_test_leaves_the_split_to_the_training(tmp_path: Path) -> None:
    dataset, said = prepare(write(tmp_path / "ds", "train/cat 6, train/dog 6, test 4"))
    assert {*tops(dataset.train), *tops(dataset.validation), *tops(dataset.test)} == {"train"}
    assert "test has no class folder that train has, so that its 4 files are not used." in said


def test_same_photo_in_two_sides_is_reported_by_training_and_doctor(tmp_path: Path, quiet: Progress) -> None:
    root = write(tmp_path / "ds", "train/cat 4, train/dog 4, val/cat 2, val/dog 2, test/cat 2, test/dog 2")
    shutil.copy(root / "train" / "dog" / "1.png", root / "test" / "dog" / "leak.png")
    Image.open(root / "train" / "cat" / "0.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        root / "val" / "cat" / "mirrored.png"
    )
    dataset, said = prepare(root)
    assert tops(dataset.test) == {"test": 5}
    assert "4 photos look the same as photos of another side" in said
    assert "Found 2 duplicates and near-duplicates; each photo stays in its side." in said
    findings = {finding.kind: finding for finding in diagnose(find_photos(root), [], quiet).findings}
    assert sorted(map(str, findings["side"].cases)) == [
        "test/dog/leak.png = train/dog/1.png (test, train; equal files)",
        "train/cat/0.png = val/cat/mirrored.png (train, validation)",
    ]
    assert "duplicate" not in findings


def test_sides_without_validation_and_test_are_the_pool() -> None:
    own = SplitIndices(*(np.array([number]) for number in (0, 1, 2)))
    indices = split_by_sides(["train"] * 3, lambda _: own)
    assert [int(rows[0]) for rows in (indices.train, indices.validation, indices.test)] == [0, 1, 2]


def test_sides_are_not_tested_in_turn_with_the_photos_they_keep_apart(tmp_path: Path, quiet: Progress) -> None:
    root = write(tmp_path / "ds", "train/cat 3, train/dog 3, test/cat 1, test/dog 1")
    with pytest.raises(DatasetError, match=r"sets photos aside itself, in train, test, .* training side alone"):
        prepare(root, replace(CONFIG, transfer=TransferRecipe()))
    options = TrainingOptions(root, NetworkOptions(), pretrained="lite0")
    config = options.choose_config(None, quiet)
    assert config.transfer is not None
    assert not config.cross_validated
    with pytest.raises(
        ConfigError, match=r"has photos of its own for test, .*: leave out --test, or train on the folder"
    ):
        replace(options, test=0.2).choose_config(None, quiet)


def test_small_classes_stop_a_training_unless_they_are_skipped(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", "cat 4, dog 4, newt 1, owl 2")
    (root / "owl" / "copy.png").write_bytes((root / "owl" / "0.png").read_bytes())
    with pytest.raises(DatasetError, match=r"'newt' has 1 different .* at least 3, .*: .* --skip-small\."):
        prepare(root)
    dataset, said = prepare(root, skip_small=True)
    assert (dataset.classes, dataset.counts) == (("cat", "dog"), (4, 4))
    assert "Skipped 2 of 4 classes, which have too few photos: newt, owl." in said
    assert sum(len(split.rows) for split in (dataset.train, dataset.validation, dataset.test)) == 8
    without = write(tmp_path / "without", "cat 4, dog 4")
    assert prepare(without)[0].fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (replace(CONFIG, transfer=TransferRecipe()), ("cat", "dog", "owl")),
        (replace(CONFIG, groups=Grouping(folder_level=1)), ("cat", "dog")),
        (replace(CONFIG, multi_label=True), ("cat", "dog")),
    ],
    ids=["tested in turn", "groups", "several labels"],
)
def test_what_is_too_small_depends_on_the_splits(tmp_path: Path, config: TrainingConfig, kept: tuple[str, ...]) -> None:
    root = write(
        tmp_path / "photos", "cat/a 2, cat/b 2, cat/c 2, dog/a 2, dog/b 2, dog/c 2, newt/a 1, owl/a 1, owl/b 1"
    )
    (root / "ant").mkdir()
    (root / "ant" / "notes.jpg").write_text("no picture")
    assert prepare(root, config, skip_small=True)[0].classes == kept


def test_no_class_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="fewer than two classes are left: these are too small: newt, owl"):
        prepare(write(tmp_path / "photos", "cat 4, newt 1, owl 2"), skip_small=True)


def test_class_without_a_photo_to_train_with_is_refused_or_skipped(tmp_path: Path) -> None:
    folders = "train/cat 2, train/dog 2, train/owl 0, val/cat 1, val/dog 1, val/owl 1, test/cat 1, test/dog 1"
    root = write(tmp_path / "ds", folders)
    (root / "train" / "owl" / "notes.jpg").write_text("no picture")
    with pytest.raises(DatasetError, match=r"'owl' has no readable photo to train with: .* --skip-small"):
        prepare(root)
    dataset, _ = prepare(root, skip_small=True)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.validation.rows) == 2


def test_doctor_names_what_lies_beside_and_names_that_look_alike(tmp_path: Path, quiet: Progress) -> None:
    root = write(tmp_path / "photos", "cat 2, Cat 2, dog 2, owl 0")
    shutil.copy(root / "cat" / "0.png", root / "loose.png")
    diagnosis = diagnose(find_photos(root, skip_small=True), [], quiet)
    found = {finding.kind: [*map(str, finding.cases)] for finding in diagnosis.findings}
    assert found["similar"] == ["'Cat' = 'cat'"]
    assert found["loose"] == ["loose.png"]
    assert found["empty"] == ["owl"]


def test_checkpoint_says_that_the_folder_kept_its_test_photos_apart(tmp_path: Path, quiet: Progress) -> None:
    root = write(tmp_path / "ds", "train/cat 4, train/dog 4, val/cat 1, val/dog 1, test/cat 1, test/dog 1")
    dataset = prepare_dataset(root, CONFIG, tmp_path / "ds.run", quiet)
    assert dataset.sides == ("train", "validation", "test")
    limits = [*describe_limits(summary({"test": {"photos": 2}}, {"sides": list(dataset.sides)}))]
    assert any(
        sentence.startswith("The test photos are those that the folder keeps apart itself.") for sentence in limits
    )
    assert not any("come from the same folders" in sentence for sentence in limits)
    facts = dict(list_data_facts(summary({}, {"sides": ["train", "test"], "data": {"duplicates": 2}})))
    assert facts["Split by"] == "the sides of the folder (train, test)"
    assert facts["Duplicates"] == "2, each in the side where it was"
