"""Trainings with `--groups`: no group is on both sides of a split, and every later command repeats that split."""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.pictures import draw
from whisker.model import load_checkpoint
from whisker.model.errors import ConfigError
from whisker.training.config import Grouping
from whisker.training.data.dataset import Dataset
from whisker.training.data.preparation import prepare_dataset
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, run_training, split_config
from whisker.training.progress import Progress

PATIENT = Grouping(column="patient")
PHOTOS = 24  # of each class


def patient_of(number: int) -> str:
    """Assign the photos to 8 patients of 3 photos a class; the last three have none."""
    return f"P{number // 3}" if number < PHOTOS - 3 else ""


@pytest.fixture
def grouped(training: Training) -> Training:
    """Train with groups by a column: each patient has photos of both classes."""
    lines = ["path,label,patient"]
    for label in ("rings", "stripes"):
        for number in range(PHOTOS):
            draw(label, number).save(training.photos / label / f"{number:03}.png")
            lines.append(f"{label}/{number:03}.png,{label},{patient_of(number)}")
    labels = training.photos.parent / "patients.csv"
    labels.write_text("\n".join(lines))
    return replace(training, labels=labels, config=replace(training.config, groups=PATIENT))


@pytest.fixture
def by_folder(grouped: Training) -> Training:
    """Train with the same groups, in folders below the class folders."""
    for path in sorted(grouped.photos.rglob("*.png")):
        patient = patient_of(int(path.stem))
        if patient:
            (path.parent / patient).mkdir(exist_ok=True)
            path.rename(path.parent / patient / path.name)
    return replace(grouped, labels=None, config=replace(grouped.config, groups=Grouping(folder_level=1)))


def prepare(training: Training, progress: Progress) -> Dataset:
    return prepare_dataset(training.photos, training.config, training.work, progress, training.labels)


def patients(paths: Iterable[str]) -> set[str]:
    return {patient_of(int(Path(path).stem)) for path in paths} - {""}


@pytest.mark.parametrize("kind", ["grouped", "by_folder"])
def test_no_patient_is_in_two_splits_and_every_split_has_both_classes(
    kind: str, request: pytest.FixtureRequest, quiet: Progress
) -> None:
    dataset = prepare(request.getfixturevalue(kind), quiet)
    splits = [dataset.train, dataset.validation, dataset.test]
    assert sum(len(split.rows) for split in splits) == 2 * PHOTOS
    for split, others in ((splits[i], splits[:i] + splits[i + 1 :]) for i in range(3)):
        assert set(split.labels) == {0, 1}
        for other in others:
            assert not patients(split.paths) & patients(other.paths)
            assert not set(split.groups) & set(other.groups)


def test_splits_carry_the_numbers_of_groups(grouped: Training, quiet: Progress) -> None:
    dataset = prepare(grouped, quiet)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert len(split.groups) == len(split.rows)
        for group in np.unique(split.groups):
            members = [path for path, number in zip(split.paths, split.groups, strict=True) if number == group]
            assert len({patient_of(int(Path(path).stem)) for path in members}) == 1
        named = patients(split.paths)
        assert len({number for path, number in zip(split.paths, split.groups, strict=True) if patients([path])}) == len(
            named
        )


def test_split_without_names_has_groups_of_look_alikes(training: Training, quiet: Progress) -> None:
    (training.photos / "rings" / "zzz.png").write_bytes((training.photos / "rings" / "000.png").read_bytes())
    dataset = prepare(training, quiet)
    groups = {
        path: int(group)
        for split in (dataset.train, dataset.validation, dataset.test)
        for path, group in zip(split.paths, split.groups, strict=True)
    }
    assert groups["rings/zzz.png"] == groups["rings/000.png"]
    assert len(set(groups.values())) == 40


def test_groups_are_counted_in_one_line(grouped: Training) -> None:
    """A copy of a photo of P0 in the name of P1 joins the two."""
    (grouped.photos / "rings" / "003.png").write_bytes((grouped.photos / "rings" / "000.png").read_bytes())
    output = io.StringIO()
    dataset = prepare(grouped, Progress(Console(file=output, width=200)))
    lines = output.getvalue().splitlines()
    assert (
        "Groups by column 'patient': 7, of which 2 share look-alikes and were joined; the largest has 12 photos."
    ) in lines
    assert "Photos without a group: 6, each of which is a group of its own." in lines
    (split,) = [split for split in (dataset.train, dataset.validation, dataset.test) if "rings/000.png" in split.paths]
    assert {"P0", "P1"} <= patients(split.paths)
    assert (
        len({group for path, group in zip(split.paths, split.groups, strict=True) if patients([path]) & {"P0", "P1"}})
        == 1
    )


def test_too_few_groups_are_refused(grouped: Training, quiet: Progress) -> None:
    """All photos are of patient A or B; those without a patient are left out."""
    lines = ["path,label,patient"]
    for path in sorted(grouped.photos.rglob("*.png")):
        patient = patient_of(int(path.stem))
        label = path.parent.name if patient else ""
        lines.append(f"{path.relative_to(grouped.photos)},{label},{'AB'[int(path.stem) % 2]}")
    assert isinstance(grouped.labels, Path)
    grouped.labels.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"'rings' is in 2 different groups of --groups"):
        prepare(grouped, quiet)


def test_checkpoint_and_report_say_how_photos_were_grouped(grouped: Training, quiet: Progress) -> None:
    run_training(grouped, quiet)
    stored = load_checkpoint(grouped.out).provenance["groups"]
    assert (stored["column"], stored["largest"]) == ("patient", 6)
    assert stored["count"] == 7 + 6
    assert 1 <= stored["test"] <= 6
    assert "folder_level" not in stored
    report = grouped.report_file.read_text()
    assert "<dd>groups of patient and of similar photos, seed 0</dd>" in report
    assert f"<dd>13, the largest of 6 photos, {stored['test']} in the test split</dd>" in report
    assert "P0" not in grouped.out.read_bytes().decode("latin-1")  # names of groups may be private


@pytest.mark.parametrize("kind", ["grouped", "by_folder"])
def test_calibration_repeats_the_split_of_the_groups(
    kind: str, request: pytest.FixtureRequest, quiet: Progress, tmp_path: Path
) -> None:
    training: Training = request.getfixturevalue(kind)
    run_training(training, quiet)
    checkpoint = load_checkpoint(training.out)
    config = split_config(checkpoint)
    assert config.groups == training.config.groups
    again = replace(training, out=tmp_path / "again.safetensors", config=config)
    run_calibration(again, checkpoint, quiet)
    after = load_checkpoint(again.out)
    assert after.metrics["test"] == checkpoint.metrics["test"]
    assert after.provenance["groups"] == checkpoint.provenance["groups"]
    assert "similar photos, seed 0</dd>" in again.report_file.read_text()


def test_calibration_needs_the_file_with_the_column_of_the_training(
    grouped: Training, quiet: Progress, tmp_path: Path
) -> None:
    run_training(grouped, quiet)
    checkpoint = load_checkpoint(grouped.out)
    again = replace(grouped, out=tmp_path / "again.safetensors", config=split_config(checkpoint), labels=None)
    with pytest.raises(
        ConfigError, match=r"was trained with groups by the column 'patient' .* give that file with --labels"
    ):
        run_calibration(again, checkpoint, quiet)
    assert isinstance(grouped.labels, Path)
    other = tmp_path / "other.csv"
    other.write_text(grouped.labels.read_text().replace("P0", "P1"))
    with pytest.raises(TrainingError, match="does not hold exactly the photos"):
        run_calibration(replace(again, labels=other), checkpoint, quiet)
