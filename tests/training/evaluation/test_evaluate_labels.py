"""Folders whose photos have several labels, measured with a multi-label checkpoint: by code and by command."""

import json
from pathlib import Path

import pytest

from tests.pictures import draw
from tests.test_whisker import run
from whisker.model import Checkpoint, Classifier, save_checkpoint
from whisker.training.errors import DatasetError
from whisker.training.evaluation.evaluate_labels import evaluate_folder_labels
from whisker.training.progress import Progress


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write four photos: of a bird, of a bird and a cat, of a cat, and of a dog."""
    root = tmp_path / "photos"
    for seed, name in enumerate(("bird/0.png", "bird/1.png", "cat/2.png", "dog/3.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        draw("rings", seed).save(root / name)
    (root / "cat" / "1.png").symlink_to("../bird/1.png")
    return root


def test_labels_of_links_are_what_answers_are_compared_with(several: Checkpoint, root: Path, quiet: Progress) -> None:
    """The checkpoint finds a bird and a cat in every photo."""
    (root / "dog" / "notes.txt").write_text("hello")
    result = evaluate_folder_labels(Classifier(several), root, quiet)
    bird, cat, dog = result.evaluation.labels
    assert (result.evaluation.photos, [item.path for item in result.quarantined]) == (4, ["dog/notes.txt"])
    assert (bird.photos, bird.answered, bird.right) == (cat.photos, cat.answered, cat.right) == (2, 4, 2)
    assert (dog.photos, dog.answered, dog.right) == (1, 0, 0)
    assert result.evaluation.micro_f1 == pytest.approx(2 * 4 / (5 + 8))
    assert result.verdicts == {"confident": 4}
    assert result.wrong == {"confident": 3}  # only the photo of both has both


def test_file_of_labels_may_name_several(several: Checkpoint, root: Path, quiet: Progress) -> None:
    (root.parent / "labels.csv").write_text("path,label\nbird/0.png,bird|cat\ncat/2.png,cat|bird\ndog/3.png,bird|cat\n")
    result = evaluate_folder_labels(Classifier(several), root, quiet, root.parent / "labels.csv")
    assert (result.evaluation.micro_f1, result.wrong) == (1.0, {})


def test_folder_of_another_label_is_refused(several: Checkpoint, root: Path, quiet: Progress) -> None:
    (root / "dog").rename(root / "wolf")
    with pytest.raises(DatasetError, match="'wolf' is not a class of this checkpoint, which knows bird, cat, dog"):
        evaluate_folder_labels(Classifier(several), root, quiet)


def test_photos_without_any_label_show_nothing(several: Checkpoint, root: Path, quiet: Progress) -> None:
    (root / "bird" / "0.png").write_bytes(b"damaged")
    (root.parent / "labels.csv").write_text("path,label\nbird/0.png,bird\nbird/1.png,|\ncat/2.png,|\ndog/3.png,|\n")
    with pytest.raises(DatasetError, match=r"No readable photo in .*photos has a label"):
        evaluate_folder_labels(Classifier(several), root, quiet, root.parent / "labels.csv")


def test_evaluate_measures_a_multi_label_checkpoint_by_itself(
    several: Checkpoint, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root.parent / "several.safetensors"
    save_checkpoint(several, file)
    code, out, _ = run(monkeypatch, capsys, "evaluate", file, root, "--device", "cpu", "--engine", "torch")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("Mean average precision: ")
    assert lines[1] == "F1 at the thresholds: micro 61.5%, macro 44.4%"
    assert lines[2] == "Confident: 4 answers, 3 wrong"
    assert lines[5].startswith("bird: in 2 photos, found in 4, 2 of them correctly; average precision ")
    code, out, _ = run(monkeypatch, capsys, "evaluate", file, root, "--device", "cpu", "--engine", "torch", "--json")
    answer = json.loads(out)
    assert (answer["photos"], answer["micro_f1"], answer["classes"]) == (4, 0.6154, ["bird", "cat", "dog"])
    assert answer["verdicts"]["confident"] == {"answers": 4, "wrong": 3}
    assert [label["photos"] for label in answer["per_label"]] == [2, 2, 1]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("`whisker doctor --checkpoint`", ["doctor", "DIR", "--checkpoint", "FILE"]),
        ("`whisker report --photos`", ["report", "FILE", "--photos", "DIR", "--out", "new.html"]),
    ],
)
def test_command_for_single_labels_says_so(
    several: Checkpoint,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    command: str,
    words: list[str],
) -> None:
    monkeypatch.chdir(root.parent)
    save_checkpoint(several, root.parent / "several.safetensors")
    names = {"FILE": "several.safetensors", "DIR": "photos"}
    code, _, _ = run(monkeypatch, capsys, *(names.get(word, word) for word in words))
    assert f"{command} takes single-label checkpoints only, and several is multi-label." in str(code)
    assert not [*root.parent.glob("new.*")]
