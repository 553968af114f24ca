"""Two checkpoints on the same photos: by code, by command, and what is said of it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.pictures import draw, write_folder
from tests.test_whisker import run
from whisker.model import Checkpoint, Classifier, load_checkpoint, save_checkpoint, with_golden_answers
from whisker.training.comparing.answers import Contender
from whisker.training.comparing.compare import compare_folder
from whisker.training.comparing.wording import conclude, describe_classes
from whisker.training.errors import TrainingError
from whisker.training.job import Training
from whisker.training.progress import Progress

PLAIN = ("--device", "cpu", "--engine", "torch")


@pytest.fixture(scope="session")
def biased(trained: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a copy of the trained checkpoint whose bias makes it answer "rings", always."""
    checkpoint = load_checkpoint(trained.out)
    state = dict(checkpoint.state)
    state["fc.bias"] = torch.tensor([100.0, -100.0])
    file = tmp_path_factory.mktemp("biased") / "biased.safetensors"
    save_checkpoint(with_golden_answers(replace(checkpoint, state=state)), file)
    return file


def contender(file: Path) -> Contender:
    return Contender(file, Classifier.load(file, engine="torch"))


def test_worse_checkpoint_is_told_by_pairs_classes_and_photos(
    trained: Training, biased: Path, tmp_path: Path, quiet: Progress
) -> None:
    root = write_folder(tmp_path / "photos", 12)
    (root / "rings" / "copy.png").write_bytes((root / "rings" / "000.png").read_bytes())
    (root / "rings" / "note.txt").write_text("hello")
    result = compare_folder(contender(trained.out), contender(biased), root, quiet)
    rings, stripes = result.classes
    assert result.photos == 24  # the copy counts once
    assert "1 file is an equal copy of others: left out." in result.notes
    assert result.quarantined[0][0] == "rings/note.txt"
    assert (result.b.right, rings.right[1], stripes.right[1], rings.answered[1]) == (12, 12, 0, 24)
    assert result.a.right == sum(change.right[0] for change in result.classes) >= 20
    assert (result.only_a, result.only_b) == (stripes.right[0], 12 - rings.right[0])
    assert result.difference == pytest.approx((result.b.right - result.a.right) / 24)
    assert (result.outcome, stripes.outcome, result.is_worse) == ("worse", "worse", True)
    assert conclude(result).startswith("B is worse: \N{MINUS SIGN}")
    assert f"Worse in stripes ({stripes.right[0]} to 0 of 12 found)." in [*describe_classes(result)]
    backwards = compare_folder(contender(biased), contender(trained.out), root, quiet)
    assert (backwards.outcome, backwards.only_a, backwards.only_b) == ("better", result.only_b, result.only_a)
    low, high = backwards.interval
    assert result.interval == pytest.approx((-high, -low))


def test_command_ends_with_3_if_the_new_one_is_worse(
    trained: Training, biased: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write_folder(tmp_path / "photos", 10), tmp_path / "changes.csv"
    words = ("compare", trained.out, biased, root, *PLAIN, "--fail-if-worse")
    code, printed, _ = run(monkeypatch, capsys, *words, "--out", out)
    assert code == 3
    assert "B is worse: " in printed
    rows = [*csv.DictReader(out.read_text().splitlines())]
    worse = [row for row in rows if row["change"] == "now wrong"]
    assert {(row["label"], row["a_answer"], row["b_answer"]) for row in worse} == {("stripes", "stripes", "rings")}
    assert worse[0]["b_score"] == "1.0000"
    code, _, _ = run(monkeypatch, capsys, *words, "--out", out)
    assert "exists: choose another name with --out" in str(code)
    code, printed, _ = run(monkeypatch, capsys, *words[:-1], "--json")
    document = json.loads(printed)
    assert (code, document["outcome"], document["only_a_right"]) == (0, "worse", len(worse))
    assert document["b"]["verdicts"]["unknown"].keys() == {"answers", "wrong"}


def test_photos_of_the_training_are_recognised(trained: Training, photo_folder: Path, quiet: Progress) -> None:
    served = contender(trained.out)
    result = compare_folder(served, served, photo_folder, quiet)
    assert [said.partition(",")[0] for said in result.trained_on] == [
        "Warning: A was trained with exactly these photos",
        "Warning: B was trained with exactly these photos",
    ]
    assert result.changes == ()
    assert conclude(result).endswith("can only show differences of about 4.2 points or more.")  # 5 of 120


def with_classes(checkpoint: Checkpoint, file: Path, *classes: str) -> Contender:
    """Write a checkpoint that answers with the last of its classes, always."""
    weight = checkpoint.state["fc.weight"].new_zeros(len(classes), checkpoint.state["fc.weight"].shape[1])
    bias = torch.arange(len(classes)).float() * 20
    state = {**checkpoint.state, "fc.weight": weight, "fc.bias": bias}
    save_checkpoint(with_golden_answers(replace(checkpoint, state=state, classes=classes)), file)
    return contender(file)


def test_class_that_one_alone_knows_is_left_out_and_counted_apart(
    untrained: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    root = write_folder(tmp_path / "photos", 3)
    (root / "zebra").mkdir()
    draw("stripes", 99).save(root / "zebra" / "0.png")
    old = with_classes(untrained, tmp_path / "old.safetensors", "rings", "stripes")
    new = with_classes(untrained, tmp_path / "new.safetensors", "rings", "stripes", "zebra")
    result = compare_folder(old, new, root, quiet)
    assert (result.photos, result.a.right, result.b.right) == (6, 3, 0)  # to call stripes a zebra is wrong
    assert "Not compared: zebra, as A does not know it. B finds 1 of its 1 photos." in [*describe_classes(result)]
    strange = with_classes(untrained, tmp_path / "strange.safetensors", "cat", "dog")
    with pytest.raises(TrainingError, match="have no class in common"):
        compare_folder(old, strange, root, quiet)


def test_labels_are_compared_one_by_one_and_together(
    several: Checkpoint, untrained: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    """A finds a bird and a cat in every photo, B a bird alone."""
    for name in ("bird/0.png", "bird/1.png", "cat/2.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        draw("rings", int(name[-5])).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "cat" / "1.png").symlink_to("../bird/1.png")
    fewer = replace(several, thresholds=replace(several.thresholds, labels=(0.9, 0.99, 0.9)))
    for name, checkpoint in (("a", several), ("b", fewer), ("c", untrained)):
        save_checkpoint(checkpoint, tmp_path / f"{name}.safetensors")
    a, b, single = (contender(tmp_path / f"{name}.safetensors") for name in "abc")
    result = compare_folder(a, b, tmp_path / "photos", quiet)
    assert (result.a.right, result.b.right, result.only_a, result.only_b) == (1, 1, 1, 1)
    assert [(it.label, it.photos, it.right, it.answered) for it in result.classes] == [
        ("bird", 2, (2, 2), (3, 3)),
        ("cat", 2, (2, 0), (3, 0)),
    ]
    assert result.changes[0].answers == ("bird|cat", "bird")
    with pytest.raises(TrainingError, match="such answers cannot be compared"):
        compare_folder(a, single, tmp_path / "photos", quiet)
