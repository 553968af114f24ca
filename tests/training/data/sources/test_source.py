"""A training learns the same from a source as from the folder that the source was made of."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import TINY
from tests.pictures import CLASSES, write_folder
from tests.training.data.sources.making import SIDED, SOURCES
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.data.dataset import Dataset
from whisker.training.data.preparation import prepare_dataset
from whisker.training.data.sources.source import open_source
from whisker.training.progress import Progress

CONFIG = TrainingConfig(recipe_for("quick", TINY, 1), TINY)


def prepare(source: Path, work: Path) -> tuple[Dataset, str]:
    said = io.StringIO()
    progress = Progress(Console(file=said, width=500))
    opened = open_source(source, [work / "sources"], progress)
    return prepare_dataset(opened.root, CONFIG, work, progress, opened.labels), said.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    root = tmp_path_factory.mktemp("whole")
    return write_folder(root / "photos", 4), prepare(root / "photos", root / "photos.run")[0]


@pytest.fixture(scope="module")
def sided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    root = tmp_path_factory.mktemp("sides") / "ds"
    write_folder(root / "train", 5)
    write_folder(root / "test", 2)
    return root, prepare(root, root.with_name("ds.run"))[0]


@pytest.mark.parametrize("kind", SOURCES)
def test_source_is_learned_like_the_folder_it_was_made_of(
    kind: str, folder: tuple[Path, Dataset], tmp_path: Path
) -> None:
    root, expected = folder
    (tmp_path / "made").mkdir()
    dataset, said = prepare(SOURCES[kind](root, tmp_path / "made"), tmp_path / "source.run")
    assert dataset.classes == CLASSES
    assert (dataset.fingerprint, dataset.digests) == (expected.fingerprint, expected.digests)
    assert dataset.quarantined == ()
    assert "8 photos" in said
    assert "unpacked once to " in said


@pytest.mark.parametrize("kind", SIDED)
def test_sides_of_a_source_are_those_of_the_folder(kind: str, sided: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, expected = sided
    (tmp_path / "made").mkdir()
    dataset, _ = prepare(SIDED[kind](root, tmp_path / "made"), tmp_path / "source.run")
    assert dataset.sides == expected.sides == ("train", "test")
    assert dataset.fingerprint == expected.fingerprint
    assert len(dataset.test.rows) == len(expected.test.rows) == 4


def test_what_the_library_datasets_saves_is_read(tmp_path: Path) -> None:
    """`saved/hf` was written by `DatasetDict.save_to_disk` of datasets 5.2.0: four drawings of each class."""
    dataset, said = prepare(Path(__file__).parent / "saved" / "hf", tmp_path / "source.run")
    assert dataset.classes == CLASSES
    assert "hf: a Hugging Face data set of 2 classes, 8 photos; unpacked once to" in said
    assert dataset.quarantined == ()
    (labels,) = (tmp_path / "source.run" / "sources").rglob("labels.csv")
    photos = [f"photos-0000/00{number}{again}.png" for again in ("", "-2") for number in range(4)]
    kinds = [kind for kind in CLASSES for _ in range(4)]
    assert labels.read_text().split() == ["path,label", *map(",".join, zip(photos, kinds, strict=True))]
