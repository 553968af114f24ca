"""Measure a checkpoint on a folder of labelled photos, through the code that serves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.classifier import Classifier
from model.errors import PictureError
from training.data import PhotoFile, batched, find_photos, printable, read_photo
from training.dataset import Quarantined
from training.errors import DatasetError
from training.metrics import Evaluation, evaluate_probabilities
from training.progress import Progress

_BATCH = 32


@dataclass(frozen=True, slots=True)
class FolderEvaluation:
    """The figures, and the files that could not be used."""

    evaluation: Evaluation
    quarantined: tuple[Quarantined, ...]


def evaluate_folder(classifier: Classifier, root: Path, progress: Progress) -> FolderEvaluation:
    """Classify every photo of `root/<class>/` and compare; the folders' names must be classes of the checkpoint.

    Raises `DatasetError` for a folder that is no class, or where no photo is readable.
    """
    folder = find_photos(root, at_least=1)
    strangers = sorted(set(folder.classes) - set(classifier.classes))
    if strangers:
        raise DatasetError(
            f"The folder {strangers[0]!r} is not a class of this checkpoint, which knows "
            f"{', '.join(classifier.classes)}: rename it or take it out."
        )
    label_of = [classifier.classes.index(name) for name in folder.classes]
    rows: list[NDArray[np.float32]] = []
    labels: list[int] = []
    quarantined: list[Quarantined] = []
    with progress.task("Evaluating", len(folder.files)) as task:
        for batch in batched(np.arange(len(folder.files)), _BATCH):
            pixels = []
            for file in (folder.files[index] for index in batch):
                picture = _decode(classifier, root, file)
                if isinstance(picture, Quarantined):
                    quarantined.append(picture)
                else:
                    pixels.append(picture)
                    labels.append(label_of[file.label])
            if pixels:
                rows.append(classifier.probabilities(pixels))
            task.advance(len(batch))
    if not rows:
        raise DatasetError(f"No file in {root} is a readable picture: {quarantined[0].reason}")
    return FolderEvaluation(evaluate_probabilities(np.concatenate(rows), np.array(labels)), tuple(quarantined))


def _decode(classifier: Classifier, root: Path, file: PhotoFile) -> NDArray[np.uint8] | Quarantined:
    try:
        return classifier.preprocessing.decode(read_photo(root / file.path))
    except OSError as exc:
        return Quarantined(printable(file.path), f"The file cannot be read: {exc.strerror}.")
    except PictureError as exc:
        return Quarantined(printable(file.path), str(exc))
