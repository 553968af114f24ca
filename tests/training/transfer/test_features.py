"""Features of photos: the fastest engine agrees with PyTorch, and an interrupted extraction goes on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.transfer.small import SIZE, shapes
from whisker.model.answers.head import Head
from whisker.model.engines.base import Engine
from whisker.model.engines.torch_engine import FoldedEngine, TorchEngine
from whisker.model.networks.base import Network
from whisker.training.errors import TrainingError
from whisker.training.progress import Progress
from whisker.training.transfer import features as module
from whisker.training.transfer.features import extract_features, open_engine

KEY = {"weights": "abc"}


class MeanEngine(Engine):
    """Compute the mean red of the left and the right half of each picture, and count the pictures."""

    def __init__(self, fail_after: int = 10**9) -> None:
        super().__init__(Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32)), "cpu")
        self.pictures, self._fail_after = 0, fail_after

    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        assert not with_maps
        self.pictures += len(batch)
        if self.pictures > self._fail_after:
            raise KeyboardInterrupt
        red, middle = batch[..., 0].astype(np.float32), batch.shape[2] // 2
        return np.stack([red[:, :, :middle].mean((1, 2)), red[:, :, middle:].mean((1, 2))], 1), None


@pytest.fixture
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note how far it is after every 4 photos, in batches of 3."""
    monkeypatch.setattr(module, "_SAVED_PHOTOS", 4)
    monkeypatch.setattr(module, "_BATCH", 3)


def test_fast_engine_gives_the_features_of_the_network(network: Network) -> None:
    pixels = list(shapes(4).pixels)
    fast, plain = (
        engine.run(pixels).features for engine in (open_engine(network, SIZE, "cpu"), TorchEngine(network, "cpu"))
    )
    cosines = (fast * plain).sum(1) / np.linalg.norm(fast, axis=1) / np.linalg.norm(plain, axis=1)
    assert cosines.min() > 0.98


def test_engine_that_disagrees_is_not_used_and_that_is_said(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(module, "_MIN_AGREEMENT", 1.1)
    assert isinstance(open_engine(network, SIZE, "cpu"), FoldedEngine)
    assert "OpenVINO's features agree only to a cosine of" in caplog.text


@pytest.mark.usefixtures("few_at_a_time")
def test_features_are_of_photos_as_they_are_and_mirrored(tmp_path: Path, quiet: Progress) -> None:
    photos = shapes(5, size=16).take(np.array([9, 1, 2, 3, 4, 5, 6, 0, 8, 7]))
    features = extract_features(MeanEngine(), photos, tmp_path / "features", KEY, quiet)
    assert features.shape == (2, 10, 2)
    np.testing.assert_allclose(features[0], MeanEngine().run(list(photos.pixels[photos.rows])).features)
    np.testing.assert_allclose(features[1], features[0, :, ::-1], rtol=1e-5)


@pytest.mark.usefixtures("few_at_a_time")
def test_interrupted_extraction_goes_on(tmp_path: Path, quiet: Progress) -> None:
    photos, cache = shapes(5, size=16), tmp_path / "features"
    with pytest.raises(KeyboardInterrupt):
        extract_features(MeanEngine(fail_after=2 * 9), photos, cache, KEY, quiet)
    rest = MeanEngine()
    features = extract_features(rest, photos, cache, KEY, quiet)
    assert rest.pictures == 2 * 2  # 8 of the 10 photos were done
    np.testing.assert_array_equal(features, extract_features(MeanEngine(), photos, tmp_path / "other", KEY, quiet))


def test_finished_extraction_is_used_again(tmp_path: Path, quiet: Progress) -> None:
    photos, engine = shapes(2, size=16), MeanEngine()
    first = np.array(extract_features(MeanEngine(), photos, tmp_path, KEY, quiet))
    np.testing.assert_array_equal(extract_features(engine, photos, tmp_path, KEY, quiet), first)
    assert engine.pictures == 0


@pytest.mark.parametrize("change", ["weights", "rows", "photos", "damaged note", "empty note", "shape", "cut short"])
def test_features_of_anything_else_are_computed_anew(change: str, tmp_path: Path, quiet: Progress) -> None:
    photos, key = shapes(3, size=16), KEY
    extract_features(MeanEngine(), photos, tmp_path, key, quiet)
    if change == "weights":
        key = {"weights": "other"}
    elif change == "rows":
        photos = photos.take(np.arange(6)[::-1])
    elif change == "photos":  # as of another split: as many, in the same rows
        photos = shapes(3, size=16, first=3)
    elif change == "damaged note":
        (tmp_path / "done.json").write_text("{")
    elif change == "empty note":
        (tmp_path / "done.json").write_text(json.dumps({}))
    elif change == "cut short":
        os.truncate(tmp_path / "features.npy", 130)
    else:
        np.save(tmp_path / "features.npy", np.zeros((2, 5, 2), np.float32))
    engine = MeanEngine()
    features = extract_features(engine, photos, tmp_path, key, quiet)
    assert engine.pictures == 12
    np.testing.assert_allclose(features[0], MeanEngine().run(list(photos.pixels[photos.rows])).features)


def test_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, quiet: Progress) -> None:
    blocker = tmp_path / "features"
    blocker.write_text("a file where the folder belongs")
    with pytest.raises(TrainingError, match=r"The cache .*features cannot be written: File exists\."):
        extract_features(MeanEngine(), shapes(1, size=16), blocker, KEY, quiet)
