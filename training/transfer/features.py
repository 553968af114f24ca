"""Features of photos from a frozen network, computed once by the fastest engine and kept on disk."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model.engines.base import Engine
from whisker.model.engines.choice import least_cosine
from whisker.model.engines.torch_engine import FoldedEngine, TorchEngine
from whisker.model.networks.base import Network
from whisker.training.data.cache import reserve
from whisker.training.data.dataset import Split, batched
from whisker.training.errors import TrainingError
from whisker.training.progress import Progress

VIEWS = 2  # of each photo: as it is, and mirrored
_BATCH = 32
_MIN_AGREEMENT = 0.98  # cosine between the features of two engines; bfloat16 gives 0.999
_SAVED_PHOTOS = 1024  # computed between two notes of how far it is

logger = logging.getLogger(__name__)


def open_engine(network: Network, size: int, device: str) -> Engine:
    """Open the fastest engine for features: OpenVINO on a CPU, if it is installed and agrees with PyTorch."""
    plain = TorchEngine(network, device)
    if device != "cpu":
        return plain
    try:
        from whisker.model.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - an optional dependency
        from whisker.model.engines.openvino_export import export_openvino_model  # noqa: PLC0415
    except ImportError:
        return FoldedEngine(network, device, torch.float32)
    threads = torch.get_num_threads()
    engine = OpenVinoEngine(export_openvino_model(network, size), plain.head, threads=threads, batch_sizes=(1, 8))
    noise = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    agreement = least_cosine(engine.run(list(noise)).features, plain.run(list(noise)).features)
    if agreement >= _MIN_AGREEMENT:
        return engine
    logger.warning("OpenVINO's features agree only to a cosine of %.3f; PyTorch computes them", agreement)
    return FoldedEngine(network, device, torch.float32)


def extract_features(
    engine: Engine, photos: Split, cache: Path, key: Mapping[str, object], progress: Progress
) -> NDArray[np.float32]:
    """Compute features of photos at the serving size, as they are and mirrored: a memory map float32 `[2, N, F]`.

    Called again with the same `key`, it goes on where it was interrupted. Raises `TrainingError` if `cache` cannot be
    written.
    """
    width = engine.head.weight.shape[1]
    text = json.dumps({**key, "pixels": _digest(photos), "width": width}, sort_keys=True)
    try:
        features, done = _open(cache, text, (VIEWS, len(photos.rows), width))
        with progress.task("Computing features", len(photos.rows) - done) as task:
            for start in range(done, len(photos.rows), _SAVED_PHOTOS):
                for rows in batched(photos.rows[start : start + _SAVED_PHOTOS], _BATCH):
                    place = slice(start, start + len(rows))
                    features[:, place] = _views(engine, photos.pixels[rows])
                    start += len(rows)  # noqa: PLW2901 - the place of the next batch
                    task.advance(len(rows))
                _note(cache, text, start)
    except OSError as exc:
        raise TrainingError(f"The cache {cache} cannot be written: {exc.strerror}.") from exc
    return features


def _digest(photos: Split) -> str:
    """Hash the photos themselves, in their order: another split of the same folder can have as many."""
    digest = hashlib.sha256()
    for rows in batched(photos.rows, _BATCH):
        digest.update(photos.pixels[rows].tobytes())
    return digest.hexdigest()


def _views(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the features of pictures uint8 `[N, H, W, 3]` in both views: `[2, N, F]`."""
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    return np.stack([engine.run(list(view)).features for view in (pixels, mirrored)])


def _open(cache: Path, text: str, shape: Sequence[int]) -> tuple[NDArray[np.float32], int]:
    """Open the features and tell how many photos are done; features of other photos or weights are replaced."""
    file, note = cache / "features.npy", cache / "done.json"
    if file.is_file() and note.is_file():
        try:
            saved, whole = json.loads(note.read_text()), np.lib.format.open_memmap(file, mode="r")
        except ValueError:  # a damaged note, or features cut short: to be written, they would be filled with zeros
            pass
        else:
            if saved.get("key") == text and whole.shape == tuple(shape):
                return np.lib.format.open_memmap(file, mode="r+"), int(saved["done"])
    cache.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    features = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=tuple(shape))
    reserve(file)
    return features, 0


def _note(cache: Path, text: str, done: int) -> None:
    (cache / "done.json").write_text(json.dumps({"key": text, "done": done}))
