"""Measure a checkpoint on a folder of labelled photos, through the code that serves."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import Scores, Verdict
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.classifier import Classifier
from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo
from whisker.model.plain_text import printable
from whisker.training.calibration.metrics import Evaluation, evaluate_probabilities
from whisker.training.data.dataset import Quarantined, batched
from whisker.training.data.folders.folder import PhotoFile, PhotoFolder, find_photos, label_matrix
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.folders.names import class_name
from whisker.training.data.unreadable import why_unreadable
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.evaluation.trained import LabelledDigest, warn_of_trained_photos
from whisker.training.progress import Progress

_BATCH = 32
_MAX_NAMED = 10  # classes in a sentence
Answer = TypeVar("Answer")  # what a network gives for a batch of pictures


@dataclass(frozen=True, slots=True)
class FolderEvaluation:
    """The figures, how often each verdict was given and how often wrongly, and the unusable files.

    An answer is wrong if its label is, whatever the verdict.
    """

    evaluation: Evaluation
    verdicts: Mapping[Verdict, int]
    wrong: Mapping[Verdict, int]
    quarantined: tuple[Quarantined, ...]


@dataclass(frozen=True, slots=True)
class FolderRun(Generic[Answer]):
    """A network's answers for N readable photos: in batches, with paths, and labels as marks `[N, classes]`.

    `digests` are those of the files, with the names of their labels.
    """

    paths: tuple[str, ...]
    present: NDArray[np.bool_]
    answers: tuple[Answer, ...]
    quarantined: tuple[Quarantined, ...]
    digests: tuple[LabelledDigest, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Number the labels `[N]` of photos that have one each."""
        labels: NDArray[np.int64] = self.present.argmax(1)
        return labels


@dataclass(frozen=True, slots=True)
class FolderScores:
    """The classifier's scores for N readable photos, with paths, and labels as marks `[N, classes]`."""

    paths: tuple[str, ...]
    present: NDArray[np.bool_]
    scores: Scores
    quarantined: tuple[Quarantined, ...]


def evaluate_folder(
    classifier: Classifier, root: Path, progress: Progress, labels_file: Path | LabelFile | None = None
) -> FolderEvaluation:
    """Classify every photo of `root/<class>/` and compare; each class must be one of the single-label checkpoint.

    `labels_file` is as in `find_photos`. Of a folder with sides, the one to test with is taken. Raises `DatasetError`
    as `run_folder` does.
    """
    folder = find_photos(root, min_classes=1, labels_file=labels_file, skip_small=True).to_measure()
    folder.say(progress)
    scored = score_folder(classifier, folder, progress)
    probabilities, labels = scored.scores.probabilities, scored.present.argmax(1)
    verdicts = classifier.verdicts(scored.scores)
    errors = probabilities.argmax(1) != labels
    return FolderEvaluation(
        evaluate_probabilities(probabilities, labels),
        Counter(verdicts),
        Counter(verdict for verdict, error in zip(verdicts, errors, strict=True) if error),
        scored.quarantined,
    )


def score_folder(classifier: Classifier, folder: PhotoFolder, progress: Progress) -> FolderScores:
    """Classify every photo of `folder`, and warn if it is that of the training; raise as `run_folder` does."""
    result = run_folder(classifier, folder, classifier.scores, progress)
    warning = warn_of_trained_photos(classifier.checkpoint, classifier.checkpoint.name, result.digests)
    if warning:
        progress.say(warning)
    probabilities = np.concatenate([scores.probabilities for scores in result.answers])
    unknown = [scores.unknown for scores in result.answers if scores.unknown is not None]
    scores = Scores(probabilities, np.concatenate(unknown) if unknown else None)
    return FolderScores(result.paths, result.present, scores, result.quarantined)


def require_single_label(checkpoint: Checkpoint, command: str) -> None:
    """Raise `TrainingError` for a multi-label checkpoint, which the part of a `command` cannot take."""
    if checkpoint.task != "single-label":
        raise TrainingError(f"{command} takes single-label checkpoints only, and {checkpoint.name} is multi-label.")


def run_folder(
    classifier: Classifier, folder: PhotoFolder, run: Callable[[list[NDArray[np.uint8]]], Answer], progress: Progress
) -> FolderRun[Answer]:
    """Decode every photo of `folder` for `classifier`, and `run` batch after batch.

    Raises `DatasetError` for a class that the checkpoint does not know, or if no photo is readable.
    """
    number_of = _labels_in(classifier, folder)
    answers: list[Answer] = []
    files: list[PhotoFile] = []
    digests: list[LabelledDigest] = []
    quarantined: list[Quarantined] = []
    with progress.task("Evaluating", len(folder.files)) as task:
        for batch in batched(np.arange(len(folder.files)), _BATCH):
            pixels = []
            for file in (folder.files[index] for index in batch):
                picture = _decode(classifier, folder.root, file)
                if isinstance(picture, Quarantined):
                    quarantined.append(picture)
                else:
                    pixels.append(picture[0])
                    files.append(file)
                    digests.append((picture[1], tuple(folder.classes[label] for label in file.labels)))
            if pixels:
                answers.append(run(pixels))
            task.advance(len(batch))
    if not files:
        raise DatasetError(f"No file in {folder.root} is a readable picture: {quarantined[0].reason}")
    present = label_matrix([[number_of[label] for label in file.labels] for file in files], len(classifier.classes))
    paths = tuple(file.path for file in files)
    return FolderRun(paths, present, tuple(answers), tuple(quarantined), tuple(digests))


def _labels_in(classifier: Classifier, folder: PhotoFolder) -> list[int]:
    """Give each of the folder's classes its number in the checkpoint."""
    number_of = {class_name(name): number for number, name in enumerate(classifier.classes)}
    unknown = [name for name in folder.classes if name not in number_of]
    if unknown:
        more = len(classifier.classes) - _MAX_NAMED
        named = ", ".join(classifier.classes[:_MAX_NAMED]) + (f" and {more:,} other classes" if more > 0 else "")
        raise DatasetError(
            f"In {folder.root}, {unknown[0]!r} is not a class of this checkpoint, which knows {named}: rename it or "
            "take it out."
        )
    return [number_of[name] for name in folder.classes]


def _decode(classifier: Classifier, root: Path, file: PhotoFile) -> tuple[NDArray[np.uint8], str] | Quarantined:
    """Give the pixels of a photo, and the SHA-256 of its file."""
    try:
        data = read_photo(root / file.path)
        return classifier.preprocessing.decode(data), hashlib.sha256(data).hexdigest()
    except (OSError, PictureError) as exc:
        return Quarantined(printable(file.path), why_unreadable(root / file.path, exc))
