"""Calibration sees training photos as a service would: decoded from their files, at the size that is served."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from tests.pictures import write_folder
from whisker.model import Preprocessing, build_network, load_checkpoint
from whisker.model.engines.quantization import measure_ranges
from whisker.model.engines.torch_engine import TorchEngine
from whisker.training.calibration.novelty import KnownPhotos, fit_novelty
from whisker.training.calibration.photos import read_training_sample, sample_training_photos, thin_out
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.data.dataset import Dataset, Split
from whisker.training.data.preparation import prepare_dataset
from whisker.training.errors import DatasetError
from whisker.training.job import Training
from whisker.training.pipeline import split_config
from whisker.training.progress import Progress

SERVED = Preprocessing(size=TINY.size)


def prepare(root: Path, work: Path, quiet: Progress) -> Dataset:
    return prepare_dataset(root, TrainingConfig(recipe_for("quick", TINY, 1), TINY), work, quiet)


def test_pixels_are_those_that_a_service_decodes(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 10, size=(200, 150))
    train = prepare(root, tmp_path / "work", quiet).train
    sample = read_training_sample(root, train, SERVED, tmp_path / "work" / "cache-calibration", quiet)
    assert (sample.paths, sample.labels.tolist()) == (train.paths, train.labels.tolist())
    for row, path in zip(sample.rows, sample.paths, strict=True):
        np.testing.assert_array_equal(sample.pixels[row], SERVED.decode((root / path).read_bytes()))


def test_int8_and_unknown_are_fitted_on_the_pixels_that_are_served(trained: Training, quiet: Progress) -> None:
    checkpoint = load_checkpoint(trained.out)
    dataset = prepare_dataset(trained.photos, split_config(checkpoint), trained.work, quiet)
    pixels = [SERVED.decode((trained.photos / path).read_bytes()) for path in dataset.train.paths]
    network = build_network(checkpoint.network, len(checkpoint.classes))
    network.load_state_dict(dict(checkpoint.state))

    assert checkpoint.quantization is not None
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    for name, bounds in measure_ranges(network.eval(), [x]).items():
        assert bounds == pytest.approx(checkpoint.quantization.ranges[name], rel=1e-4, abs=1e-5)
    assert checkpoint.quantization.narrow is not None
    assert checkpoint.quantization.narrow.mean_difference > checkpoint.quantization.cost.mean_difference

    assert checkpoint.novelty is not None
    features = torch.from_numpy(TorchEngine(network, "cpu").run(pixels).features)
    fitted = fit_novelty(KnownPhotos(features, dataset.train.labels, validation=features), false_alarms=0.05).novelty
    np.testing.assert_allclose(fitted.prototypes, checkpoint.novelty.prototypes, atol=1e-3)


def test_photo_whose_name_is_not_unicode_is_found(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 10)
    for path in (root / "rings").iterdir():
        path.rename(os.fsdecode(os.fsencode(path.with_suffix("")) + b"\xff.png"))
    train = prepare(root, tmp_path / "work", quiet).train
    sample = read_training_sample(root, train, SERVED, tmp_path / "cache", quiet)
    assert len(sample.rows) == len(train.rows)


def test_photo_that_has_become_unreadable_is_left_out(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 10)
    train = prepare(root, tmp_path / "work", quiet).train
    (root / train.paths[0]).unlink()
    sample = read_training_sample(root, train, SERVED, tmp_path / "cache", quiet)
    assert sample.paths == train.paths[1:]
    assert sample.labels.tolist() == train.labels[1:].tolist()
    for path in train.paths[1:]:
        (root / path).unlink()
    with pytest.raises(DatasetError, match=r"No training photo in .* is readable any more"):
        read_training_sample(root, train, SERVED, tmp_path / "cache", quiet)


def test_sample_is_decoded_once(tmp_path: Path, quiet: Progress) -> None:
    root = write_folder(tmp_path / "photos", 10)
    train = prepare(root, tmp_path / "work", quiet).train
    first = read_training_sample(root, train, SERVED, tmp_path / "cache", quiet)
    changed = root / train.paths[0]
    stat = changed.stat()
    changed.write_bytes(b"\0" * stat.st_size)
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # decoding it again would fail
    np.testing.assert_array_equal(
        read_training_sample(root, train, SERVED, tmp_path / "cache", quiet).pixels, first.pixels
    )


def test_thinning_out_is_even_and_keeps_what_belongs_together() -> None:
    names = tuple(f"{i}.png" for i in range(100))
    labels, groups = np.arange(100) // 50, np.arange(100) // 10
    split = Split(np.zeros((200, 1, 1, 3), np.uint8), np.arange(100) + 100, labels, names, groups=groups)
    thin = thin_out(split, 5)
    assert thin.rows.tolist() == [100, 125, 150, 174, 199]
    assert thin.labels.tolist() == [0, 0, 1, 1, 1]
    assert thin.groups.tolist() == [0, 2, 5, 7, 9]
    assert thin.paths == thin.files == ("0.png", "25.png", "50.png", "74.png", "99.png")
    assert thin_out(split, 1000).rows.tolist() == split.rows.tolist()


def test_sample_has_some_photos_of_every_class() -> None:
    """A class of a few among very many was left out, and could not be extended."""
    labels = np.repeat(np.arange(3), (9_000, 20, 3))
    rows = np.arange(len(labels))
    sample = sample_training_photos(Split(np.zeros((1, 1, 1, 3), np.uint8), rows, labels, groups=rows))
    assert np.bincount(sample.labels).tolist() == [4085, 9, 3]
    assert (np.diff(sample.rows) > 0).all()
