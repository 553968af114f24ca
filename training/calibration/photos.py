"""The photos of a calibration: training photos decoded as a service would, and a network's outputs for any photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import Outputs
from whisker.model.engines.base import Engine
from whisker.model.preprocessing import Preprocessing
from whisker.training.config import CALIBRATION_PHOTOS
from whisker.training.data.cache import decode_photos
from whisker.training.data.dataset import Split, batched
from whisker.training.data.outliers import Outliers
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress, Task

BATCH = 32
_LEAST_OF_A_CLASS = 8  # photos in a sample, some of which may be copies


def read_training_sample(
    root: Path, train: Split, preprocessing: Preprocessing, cache: Path, progress: Progress
) -> Split:
    """Decode a sample of the training split from its files in `root`, exactly as a service decodes uploads.

    The pixels of `train` itself are larger, for crops: resized, they would not be the pixels that are served. Raises
    `DatasetError` if no file is readable any more; single ones are left out.
    """
    sample = sample_training_photos(train)
    pixels, decoded = decode_photos(root, sample.files, preprocessing, cache, progress)
    rows = np.flatnonzero([not item.error for item in decoded])
    if not len(rows):
        raise DatasetError(f"No training photo in {root} is readable any more: {decoded[0].error}")
    return replace(sample.take(rows), pixels=pixels, rows=rows)


def sample_training_photos(train: Split) -> Split:
    """Take at most `CALIBRATION_PHOTOS`, evenly, but some of each class, whose statistics need different photos."""
    if len(train.rows) <= CALIBRATION_PHOTOS:
        return train
    share, picked = CALIBRATION_PHOTOS / len(train.rows), list[NDArray[np.int64]]()
    for label in np.unique(train.labels):
        own = np.flatnonzero(train.labels == label)
        wanted = min(len(own), max(_LEAST_OF_A_CLASS, int(share * len(own))))
        picked.append(own[np.linspace(0, len(own) - 1, wanted).round().astype(np.int64)])
    return train.take(np.sort(np.concatenate(picked)))


def thin_out(split: Split, max_photos: int) -> Split:
    """Take at most `max_photos`, evenly: rows are sorted, so that every class and folder keeps its part."""
    picked = np.linspace(0, len(split.rows) - 1, min(max_photos, len(split.rows))).round().astype(np.int64)
    return split.take(picked)


def run_engine(engine: Engine, photos: Split | Outliers, task: Task) -> Outputs:
    """Compute the outputs for photos whose pixels have the serving size."""
    outputs = []
    for rows in batched(photos.rows, BATCH):
        outputs.append(engine.run(list(photos.pixels[rows])))
        task.advance(len(rows))
    return Outputs(np.concatenate([o.logits for o in outputs]), np.concatenate([o.features for o in outputs]))
