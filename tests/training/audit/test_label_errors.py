import copy
import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from tests.pictures import write_folder
from whisker.cli import main
from whisker.model import Checkpoint, Classifier, build_network
from whisker.model.checkpoint.file import save_checkpoint
from whisker.model.networks.build import require_trainable
from whisker.model.networks.config import Family
from whisker.model.networks.resnet import ResidualNetwork
from whisker.training.audit.label_errors import NEIGHBOURS, find_doubtful, label_distances
from whisker.training.audit.label_review import (
    TRUST_WARNING,
    DoubtfulPhoto,
    find_doubtful_photos,
    print_doubtful,
    write_doubtful,
)
from whisker.training.config import Grouping
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.labels import read_labels
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.progress import Progress


def noisy(
    classes: int, photos: int, flips: int, seed: int, spread: float = 0.8
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Make probabilities that are mostly right, labels of which `flips` are wrong, and the positions of these."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, photos)
    logits = rng.normal(0, spread, (photos, classes))
    logits[np.arange(photos), truth] += 5
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = rng.choice(photos, flips, replace=False)
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + rng.integers(1, classes, flips)) % classes
    return probabilities, labels, wrong


def share_found(order: NDArray[np.int64], wrong: NDArray[np.int64], first: int) -> float:
    return float(np.isin(wrong, order[:first]).mean())


@pytest.mark.parametrize("classes", [2, 10, 200])
@pytest.mark.parametrize("seed", [0, 1])
def test_flipped_labels_come_first_and_the_true_class_is_suggested(classes: int, seed: int) -> None:
    probabilities, labels, wrong = noisy(classes, 4000, 100, seed)
    doubts = find_doubtful(probabilities, labels)
    assert share_found(doubts.order, wrong, 120) >= 0.9
    assert (doubts.suggested[wrong] == probabilities[wrong].argmax(1)).mean() >= 0.95
    assert 65 <= doubts.joint.sum() - doubts.joint.trace() <= 135  # an estimate
    assert doubts.joint.sum() == pytest.approx(4000)
    assert not doubts.atypical.any()


def test_class_of_less_confident_answers_has_a_threshold_of_its_own() -> None:
    """A class with 0.55 throughout has no wrong labels; in a confident class, one photo with 0.6 is suspicious."""
    own = np.concatenate([np.full(100, 0.55), np.full(100, 0.99), [0.6]])
    labels = np.concatenate([np.zeros(100, np.int64), np.ones(101, np.int64)])
    probabilities = np.stack([np.where(labels == 0, own, 1 - own), np.where(labels == 1, own, 1 - own)], 1)
    assert find_doubtful(probabilities, labels).order[0] == 200


def test_atypical_photos_and_flipped_labels_share_the_first_ranks() -> None:
    probabilities, labels, wrong = noisy(2, 4000, 50, seed=2)
    ood_scores = np.random.default_rng(3).uniform(0, 0.5, 4000)
    atypical = np.setdiff1d(np.arange(4000), wrong)[:50]
    ood_scores[atypical] += 0.5
    doubts = find_doubtful(probabilities, labels, ood_scores)
    assert share_found(doubts.order, atypical, 100) == 1.0
    assert share_found(doubts.order, wrong, 120) >= 0.9
    assert doubts.atypical[atypical].mean() >= 0.95
    assert sorted(doubts.order) == list(range(4000))


def test_ranks_that_no_flipped_label_needs_go_to_atypical_photos() -> None:
    probabilities, labels, _ = noisy(2, 4000, 0, seed=2)
    ood_scores = np.random.default_rng(3).uniform(0, 0.5, 4000)
    atypical = np.arange(100)
    ood_scores[atypical] += 0.5
    assert share_found(find_doubtful(probabilities, labels, ood_scores).order, atypical, 120) >= 0.9


def test_equal_ood_scores_leave_flipped_labels_in_front() -> None:
    probabilities, labels, wrong = noisy(3, 3000, 60, seed=4)
    assert share_found(find_doubtful(probabilities, labels, np.zeros(3000)).order, wrong, 150) >= 0.9


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        ([[0.9, 0.1]], [0]),
        ([[0.2, 0.8]], [0]),
        ([[0.9, 0.1], [0.6, 0.4]], [0, 0]),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 1]),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 1]),
        ([[0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], [0, 1, 1]),
    ],
)
def test_few_photos_and_classes_without_any_are_ranked(probabilities: list[list[float]], labels: list[int]) -> None:
    for ood_scores in (None, np.zeros(len(labels))):
        doubts = find_doubtful(np.array(probabilities), np.array(labels), ood_scores)
        assert sorted(doubts.order) == list(range(len(labels)))
        assert doubts.joint.sum() == pytest.approx(len(labels))


def around(directions: torch.Tensor, photos: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(directions) * photos, directions.shape[1], generator=generator)
    return directions.repeat_interleave(photos, 0) + 0.05 * noise


def test_photo_under_a_wrong_label_and_one_like_nothing_are_far_from_their_class() -> None:
    features = around(torch.eye(16)[:3], 100)
    labels = np.arange(3).repeat(100)
    labels[5] = 1
    features[250] = torch.eye(16)[9]
    distances = label_distances(features, labels)
    assert set(np.argsort(-distances)[:2].tolist()) == {5, 250}
    np.testing.assert_allclose(label_distances(features * 7, labels), distances, atol=1e-5)


def test_distance_is_to_the_nearest_of_the_same_label_without_itself() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(label_distances(features, np.array([0, 0, 1, 2])), [0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(label_distances(features, np.array([0, 1, 0, 1])), [1, 1 - 0.5**0.5] * 2, atol=1e-6)


def test_distances_do_not_depend_on_how_photos_are_cut_into_pieces() -> None:
    features = torch.randn(1500, 8, generator=torch.Generator().manual_seed(0)).double()
    unit = features / features.norm(dim=1, keepdim=True)
    similarity = unit @ unit.T - 10 * torch.eye(1500)
    expected = 1 - similarity.topk(NEIGHBOURS, dim=1).values.mean(1)
    np.testing.assert_allclose(label_distances(features, np.zeros(1500, np.int64)), expected, atol=1e-6)


@pytest.fixture
def checkpoint(untrained: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(untrained, tmp_path / "untrained.safetensors")
    return tmp_path / "untrained.safetensors"


def test_doubtful_photos_of_a_folder_carry_the_classifiers_scores(
    untrained: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    root = write_folder(tmp_path / "photos", 6)
    (root / "rings" / "note.txt").write_text("hello")
    classifier = Classifier(untrained)
    doubtful = find_doubtful_photos(classifier, find_photos(root), 8, quiet)
    assert len({photo.path for photo in doubtful.photos}) == 8
    for photo in doubtful.photos:
        assert photo.path.startswith(f"{photo.label}/")
        answer = classifier.predict([(root / photo.path).read_bytes()])[0]
        scores = {entry.label: entry.score for entry in answer.predictions}
        assert photo.score == pytest.approx(scores[photo.label], abs=1e-3)
        assert (photo.suggested == "") == (photo.reason == "like no class")
        assert (photo.suggested == photo.label) == (photo.reason == "unclear")
    for wrong in (1, 0):
        output = io.StringIO()
        print_doubtful(replace(doubtful, estimated_wrong=wrong), Console(file=output, width=200))
        assert (doubtful.photos[0].path in output.getvalue()) == bool(wrong)
        assert ("No label seems wrong." in output.getvalue()) == (not wrong)
        assert output.getvalue().rstrip().endswith(TRUST_WARNING)


@pytest.mark.parametrize("family", ["resnet", "mlp"])
def test_distances_are_measured_before_the_last_residual_block(
    untrained: Checkpoint, tmp_path: Path, quiet: Progress, family: Family
) -> None:
    config = replace(require_trainable(untrained.network), family=family)
    state = untrained.state if family == "resnet" else build_network(config, 2).state_dict()
    classifier = Classifier(replace(untrained, network=config, state=state))
    root = write_folder(tmp_path / "photos", 20)  # more than one batch
    doubtful = find_doubtful_photos(classifier, find_photos(root), 40, quiet)
    early = copy.deepcopy(classifier.network)
    if isinstance(early, ResidualNetwork):
        early.layer4 = torch.nn.Sequential()  # of depth 1: its last block is its first
    photos = sorted(doubtful.photos, key=lambda photo: photo.path)
    pixels = np.stack([classifier.preprocessing.decode((root / photo.path).read_bytes()) for photo in photos])
    features = early.embed(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).detach()
    expected = label_distances(features, np.arange(2).repeat(20))
    np.testing.assert_allclose([photo.distance for photo in photos], expected, atol=1e-3)


def test_class_that_the_checkpoint_does_not_know_is_refused(
    untrained: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    root = write_folder(tmp_path / "photos", 2)
    (root / "rings").rename(root / "wolves")
    with pytest.raises(DatasetError, match="'wolves' is not a class of this checkpoint, which knows rings, stripes"):
        find_doubtful_photos(Classifier(untrained), find_photos(root), 8, quiet)


def test_written_file_is_taken_back_with_the_earlier_labels(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 3)
    (tmp_path / "old.csv").write_text("path,label\nrings/000.png,\nrings/001.png,stripes\n")
    photos = [DoubtfulPhoto("rings/001.png", "rings", "", "like no class", 0.5, 0.1)]
    write_doubtful(tmp_path / "new.csv", photos, read_labels(tmp_path / "old.csv", root))
    folder = find_photos(root, labels_file=tmp_path / "new.csv")
    assert [file.path for file in folder.files if file.label == 0] == ["rings/001.png", "rings/002.png"]


def test_names_that_are_formulas_are_neutral_in_the_file_and_whole_when_it_is_taken_back(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 3)
    (root / "rings").rename(root / "=rings")
    photos = [DoubtfulPhoto("=rings/000.png", "=rings", "stripes", "unclear", 0.5, 0.1)]
    write_doubtful(tmp_path / "new.csv", photos, {})
    with (tmp_path / "new.csv").open(newline="") as file:
        assert [*csv.reader(file)][1][:2] == ["'=rings/000.png", "'=rings"]
    assert read_labels(tmp_path / "new.csv", root)["=rings/000.png"].label == "=rings"


def test_written_file_keeps_the_groups_of_the_earlier_one(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 3)
    (tmp_path / "old.csv").write_text("path,label,Reason\nrings/000.png,stripes,A\nrings/001.png,stripes,B\n")
    photos = [DoubtfulPhoto(f"rings/{name}.png", "rings", "", "unclear", 0.5, 0.1) for name in ("001", "002")]
    write_doubtful(tmp_path / "new.csv", photos, read_labels(tmp_path / "old.csv", root, "reason"), "reason")
    folder = find_photos(root, labels_file=tmp_path / "new.csv", grouping=Grouping(column="reason"))
    groups = {file.path: file.group for file in folder.files if file.group}
    assert groups == {"rings/000.png": "A", "rings/001.png": "B"}


def test_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("an hour's work")
    with pytest.raises(TrainingError, match="There is already a file"):
        write_doubtful(tmp_path / "new.csv", [], {})
    assert (tmp_path / "new.csv").read_text() == "an hour's work"


def test_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be written: No such file"):
        write_doubtful(tmp_path / "missing" / "new.csv", [], {})


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["whisker", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_doctor_writes_a_file_that_doctor_and_evaluate_take_back(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write_folder(tmp_path / "photos", 4), tmp_path / "doubtful.csv"
    assert run(monkeypatch, "doctor", root, "--checkpoint", checkpoint, "--out", out, "--limit", 3) == 0
    printed = capsys.readouterr().out
    assert "Most doubtful labels" in printed
    assert f"--labels {out}" in printed.splitlines()[-1].replace("'", "")
    with out.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["path", "label", "suggested", "reason", "score", "distance"]
    assert len(rows) == 3
    assert run(monkeypatch, "doctor", root, "--labels", out, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"rings": 4, "stripes": 4}
    assert report["doubtful"] is None
    out.write_text(out.read_text().replace(f"{rows[0]['path']},{rows[0]['label']},", f"{rows[0]['path']},,"))
    assert run(monkeypatch, "evaluate", checkpoint, root, "--labels", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["photos"] == 7
    again = run(monkeypatch, "doctor", root, "--checkpoint", checkpoint, "--out", out)
    assert "There is already a file" in str(again)


def test_out_without_a_checkpoint_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "doctor", tmp_path, "--out", "x.csv") == 2
    assert "needs --checkpoint" in capsys.readouterr().err
