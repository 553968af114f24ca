"""Trainings on photos that show several things: from links and files of labels to answers over HTTP."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.pictures import SHAPES, draw_shapes, encode
from tests.test_whisker import run
from whisker.app.main import create_app
from whisker.app.settings import Settings
from whisker.model import Classifier, NetworkConfig, load_checkpoint
from whisker.model.errors import ConfigError
from whisker.training.cli.options.training import NetworkOptions, TrainingOptions
from whisker.training.config import PRESETS, TrainingConfig, TransferRecipe
from whisker.training.data.preparation import prepare_dataset
from whisker.training.errors import DatasetError
from whisker.training.evaluation.evaluate_labels import evaluate_folder_labels
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, run_training, split_config
from whisker.training.progress import Progress

PHOTOS = 160
NETWORK = NetworkConfig.published("lite0", 64)


def shapes_of(seed: int) -> list[str]:
    """Choose the shapes of a picture: in turn each subset of the three, the empty one included."""
    return [shape for bit, shape in enumerate(SHAPES) if seed >> bit & 1]


def write_labelled(root: Path, seeds: Sequence[int]) -> Path:
    """Write `root/<seed>.png`, and beside `root` the file of labels, which is returned."""
    root.mkdir()
    lines = ["path,label"]
    for seed in seeds:
        draw_shapes(shapes_of(seed), seed).save(root / f"{seed:03}.png")
        lines.append(f"{seed:03}.png,{'|'.join(shapes_of(seed)) or '|'}")
    file = root.with_suffix(".csv")
    file.write_text("\n".join(lines))
    return file


def config(**changes: float) -> TrainingConfig:
    recipe = TransferRecipe(cross_validated=not changes)
    return TrainingConfig(PRESETS["quick"], NETWORK, "transfer", transfer=recipe, multi_label=True, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Describe a training whose photos no test may change."""
    root = tmp_path_factory.mktemp("shapes") / "photos"
    labels = write_labelled(root, range(PHOTOS))
    return Training(root, root.parent / "shapes.safetensors", config(), device="cpu", labels=labels, pretrained="lite0")


@pytest.fixture(scope="module")
def trained(shapes: Training, quiet: Progress) -> Training:
    run_training(shapes, quiet)
    return shapes


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write photos that were not trained on, with their file of labels beside them."""
    root = tmp_path_factory.mktemp("fresh") / "photos"
    write_labelled(root, range(1000, 1064))
    return root


def test_checkpoint_finds_the_labels_of_fresh_photos(trained: Training, fresh: Path, quiet: Progress) -> None:
    classifier = Classifier.load(trained.out)
    assert (classifier.checkpoint.task, classifier.classes) == ("multi-label", SHAPES)
    evaluation = evaluate_folder_labels(classifier, fresh, quiet, fresh.with_suffix(".csv")).evaluation
    assert evaluation.mean_average_precision >= 0.97
    assert evaluation.micro_f1 >= 0.9


def test_figures_are_those_of_held_out_photos(trained: Training) -> None:
    checkpoint = load_checkpoint(trained.out)
    metrics, data = checkpoint.metrics, checkpoint.provenance["data"]
    assert metrics["test"]["photos"] == data["train"] == PHOTOS
    assert metrics["cross_validation"] == {"folds": 5, "repeats": 4}
    assert metrics["test"]["mean_average_precision"] >= 0.95
    assert data["photos"] == dict.fromkeys(SHAPES, PHOTOS // 2)
    assert checkpoint.provenance["method"] == "Linear probe of each label"
    for row, threshold, guaranteed in zip(
        metrics["figures"]["per_label"], checkpoint.thresholds.labels, checkpoint.thresholds.guaranteed, strict=True
    ):
        assert (row["photos"], row["threshold"], row["guaranteed"]) == (PHOTOS // 2, threshold, guaranteed)
        assert row["right"] <= min(row["photos"], row["answered"])
        assert row["target_precision"] in {0.99, 0.98, 0.97, 0.95}


def test_report_shows_thresholds_and_the_method_of_testing(trained: Training) -> None:
    page = trained.report_file.read_text()
    assert "mean average precision on 160 photos. Each photo was answered by networks that were trained without" in page
    assert page.count('<tr><th scope="row">') >= 3
    assert "Reports of multi-label checkpoints hold no photos." in page


@pytest.mark.anyio
async def test_service_answers_with_the_labels(trained: Training) -> None:
    app = create_app(Settings(checkpoint=trained.out, device="cpu"))
    transport = httpx.ASGITransport(app)
    right = 0
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://w") as client:
        for seed in range(2000, 2016):
            body = encode(draw_shapes(shapes_of(seed), seed))
            answer = (await client.post("/predict", content=body, headers={"content-type": "image/png"})).json()
            right += {it["label"] for it in answer["labels"]} == {*shapes_of(seed)}
        card = (await client.get("/model")).json()
    assert right >= 12
    assert card["task"] == "multi-label"
    assert [it["label"] for it in card["label_thresholds"]] == [*SHAPES]


def test_verdicts_are_fitted_anew_on_the_same_photos(trained: Training, quiet: Progress, tmp_path: Path) -> None:
    before = load_checkpoint(trained.out)
    again = replace(trained, out=tmp_path / "again.safetensors", config=split_config(before))
    assert run_calibration(again, before, quiet).photos == PHOTOS
    after = load_checkpoint(again.out)
    assert after.thresholds.labels == pytest.approx(before.thresholds.labels, abs=0.05)
    assert after.metrics["test"] == before.metrics["test"]


def test_photos_are_set_aside_if_a_share_is_given(shapes: Training, quiet: Progress, tmp_path: Path) -> None:
    """Every split has every label, in its share, and photos without a label."""
    aside = replace(shapes, out=tmp_path / "aside.safetensors", config=config(validation=0.2, test=0.2))
    run_training(aside, quiet)
    checkpoint = load_checkpoint(aside.out)
    data, metrics = checkpoint.provenance["data"], checkpoint.metrics
    assert {name: data[name] for name in ("train", "validation", "test")} == pytest.approx(
        {"train": 96, "validation": 32, "test": 32}, abs=3
    )
    assert metrics["test"]["mean_average_precision"] >= 0.9
    assert [row["photos"] for row in metrics["figures"]["per_label"]] == pytest.approx([16] * 3, abs=2)
    dataset = prepare_dataset(aside.photos, aside.config, aside.work, quiet, aside.labels)
    assert 2 <= (~dataset.test.require_present().any(1)).sum() <= 6


def test_copies_stay_together(shapes: Training, quiet: Progress, tmp_path: Path) -> None:
    """A photo saved anew at another quality is not answered by a network that has seen it."""
    photos = tmp_path / "photos"
    labels = write_labelled(photos, range(40))
    lines = labels.read_text().splitlines()
    for seed in range(1, 40, 3):
        draw_shapes(shapes_of(seed), seed).save(photos / f"{seed:03}.jpg", quality=80)
        lines.append(lines[1 + seed].replace(".png", ".jpg"))
    labels.write_text("\n".join(lines))
    out = tmp_path / "copies.safetensors"
    run_training(replace(shapes, photos=photos, labels=labels, out=out), quiet)
    checkpoint = load_checkpoint(out)
    assert checkpoint.provenance["data"]["duplicates"] >= 5
    assert checkpoint.held_out is not None
    dataset = prepare_dataset(photos, config(), shapes.work.with_name("copies.run"), quiet, labels)
    for folds in checkpoint.held_out.folds:
        fold_of_group = dict(zip(dataset.train.groups.tolist(), folds.tolist(), strict=True))
        assert [fold_of_group[group] for group in dataset.train.groups.tolist()] == folds.tolist()
        assert len(np.unique(folds)) == 5


def test_links_in_class_folders_are_labels(quiet: Progress, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for seed in range(1, 32):
        first, *others = (photos / shape / f"{seed}.png" for shape in shapes_of(seed) or [SHAPES[0]])
        first.parent.mkdir(parents=True, exist_ok=True)
        draw_shapes(shapes_of(seed), seed).save(first)
        for other in others:
            other.parent.mkdir(parents=True, exist_ok=True)
            other.symlink_to(first)
    dataset = prepare_dataset(photos, config(), tmp_path / "links.run", quiet)
    assert len(dataset.train.rows) == 31
    assert dataset.conflicts == ()
    stems = [int(Path(path).stem) for path in dataset.train.paths]
    for seed, present in zip(stems, dataset.train.require_present(), strict=True):
        assert [*np.array(SHAPES)[present]] == (shapes_of(seed) or [SHAPES[0]])


def test_label_of_a_single_photo_is_refused(shapes: Training, quiet: Progress, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    labels = write_labelled(photos, range(16))
    labels.write_text(labels.read_text().replace("003.png,", "003.png,rare|"))
    with pytest.raises(DatasetError, match="'rare' has only 1 different readable photo"):
        run_training(replace(shapes, photos=photos, labels=labels, out=tmp_path / "x.safetensors"), quiet)
    assert not [*tmp_path.rglob("cache-features*")]  # refused before the work begins
    aside = replace(shapes, photos=photos, labels=labels, out=tmp_path / "y.safetensors", config=config(test=0.2))
    with pytest.raises(DatasetError, match="The label 'rare' is in 1 different groups of photos"):
        run_training(aside, quiet)


def test_command_trains_and_prints_the_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    labels = write_labelled(tmp_path / "photos", range(32))
    words = ("--labels", labels, "--multi-label", "--size", 64, "--device", "cpu")
    out = tmp_path / "a.safetensors"
    code, shown, _ = run(monkeypatch, capsys, "train", tmp_path / "photos", *words, "--out", out)
    assert code == 0
    assert "Labels by cross-validation: mAP " in shown
    assert "  disc: in 16 photos, found in " in shown
    assert "Warning: the photos are too few or too hard to show a precision of disc, grid, triangle" in shown
    code, shown, _ = run(
        monkeypatch, capsys, "train", tmp_path / "photos", *words, "--out", out, "--overwrite", "--json"
    )
    assert code == 0
    assert set(json.loads(shown)["test"]) >= {"photos", "mean_average_precision", "micro_f1", "macro_f1", "per_label"}


@pytest.mark.parametrize("changes", [{"pretrained": "none"}, {"preset": "quick"}, {"network": NetworkOptions(width=8)}])
def test_training_from_random_weights_is_refused(shapes: Training, quiet: Progress, changes: dict[str, object]) -> None:
    options = TrainingOptions(shapes.photos, NetworkOptions(), labels=shapes.labels, multi_label=True)
    with pytest.raises(ConfigError, match="--multi-label starts from weights that were trained on ImageNet"):
        replace(options, **changes).choose_config(None, quiet)  # type: ignore[arg-type]
