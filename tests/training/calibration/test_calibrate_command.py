"""Fitting verdicts anew: same weights, same split, other targets; never on photos that may have been trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.pictures import draw
from whisker.model import Classifier, load_checkpoint
from whisker.training.calibration.calibrate import Targets
from whisker.training.errors import TrainingError
from whisker.training.job import Training
from whisker.training.pipeline import run_calibration, run_training, split_config
from whisker.training.progress import Progress


@pytest.fixture
def again(trained: Training, tmp_path: Path) -> Training:
    """Calibrate the trained checkpoint for other targets."""
    return replace(
        trained,
        out=tmp_path / "again.safetensors",
        config=split_config(load_checkpoint(trained.out)),
        targets=Targets(precision=0.5, false_alarms=0.5),
    )


def test_thresholds_change_and_weights_stay(trained: Training, again: Training, quiet: Progress) -> None:
    before = load_checkpoint(trained.out)
    evaluation = run_calibration(again, before, quiet)
    after = Classifier.load(again.out).checkpoint
    assert before.state.keys() == after.state.keys()
    assert all(torch.equal(before.state[name], after.state[name]) for name in before.state)
    assert after.temperature == pytest.approx(before.temperature, rel=1e-4)  # fitted on the same photos
    assert after.provenance == {**before.provenance, "calibration": after.provenance["calibration"]}
    assert after.provenance["calibration"]["command"] == again.command
    assert after.metrics["test"] == before.metrics["test"]
    assert evaluation.photos == before.metrics["test"]["photos"]
    assert after.novelty is not None
    assert before.novelty is not None
    assert after.novelty.threshold < before.novelty.threshold
    for metrics, precision, rate, guaranteed in ((before.metrics, 0.99, 0.05, False), (after.metrics, 0.5, 0.5, True)):
        confident, unknown = metrics["confident"], metrics["unknown"]
        assert (confident["promised_precision"], confident["promised"]) == (precision, guaranteed)
        assert (unknown["promised_rate"], unknown["promised"]) == (rate, guaranteed)
    assert again.report_file.exists()


def test_seed_and_shares_of_the_split_are_those_of_the_training(
    training: Training, quiet: Progress, tmp_path: Path
) -> None:
    run_training(replace(training, config=replace(training.config, seed=7, validation=0.2, test=0.3)), quiet)
    checkpoint = load_checkpoint(training.out)
    config = split_config(checkpoint)
    assert (config.seed, config.validation, config.test) == (7, 0.2, 0.3)
    out = tmp_path / "again.safetensors"
    run_calibration(replace(training, out=out, config=config), checkpoint, quiet)
    assert load_checkpoint(out).metrics["test"] == checkpoint.metrics["test"]
    other = replace(training, out=tmp_path / "other.safetensors", config=replace(config, seed=8))
    with pytest.raises(TrainingError, match="does not hold exactly the photos"):
        run_calibration(other, checkpoint, quiet)


@pytest.mark.parametrize("change", ["added", "removed", "moved", "altered"])
def test_other_photos_are_refused(
    change: str, training: Training, trained: Training, quiet: Progress, tmp_path: Path
) -> None:
    """The trained checkpoint's own photos, but for one."""
    photos = tmp_path / "changed"
    for path in trained.photos.rglob("*.png"):
        (photos / path.parent.name).mkdir(parents=True, exist_ok=True)
        (photos / path.parent.name / path.name).write_bytes(path.read_bytes())
    first = photos / "rings" / "000.png"
    if change == "added":
        draw("rings", 77).save(photos / "rings" / "new.png")
    elif change == "removed":
        first.unlink()
    elif change == "moved":
        first.rename(photos / "stripes" / "moved.png")
    else:
        draw("rings", 77).save(first)
    checkpoint = load_checkpoint(trained.out)
    with pytest.raises(TrainingError, match="does not hold exactly the photos that shapes was trained with"):
        run_calibration(replace(training, photos=photos, config=split_config(checkpoint)), checkpoint, quiet)
    assert not training.out.exists()


def test_existing_file_is_not_replaced_unasked(again: Training, trained: Training, quiet: Progress) -> None:
    again.out.write_text("precious")
    with pytest.raises(TrainingError, match="exists: choose another name with --out"):
        run_calibration(again, load_checkpoint(trained.out), quiet)
    assert again.out.read_text() == "precious"
