"""The answers of two checkpoints for the same photos, as marks in a table of photos and classes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import Scores, Verdict
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.classifier import Classifier
from whisker.training.comparing.photos import BATCH, PairedPhoto, find_copies, read_batches, thumbnails
from whisker.training.data.dataset import Quarantined
from whisker.training.data.folders.folder import PhotoFile, PhotoFolder
from whisker.training.data.folders.names import class_name
from whisker.training.errors import DatasetError
from whisker.training.evaluation.trained import LabelledDigest
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Contender:
    """A checkpoint to compare, ready to answer, and its file."""

    file: Path
    classifier: Classifier

    @property
    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint."""
        return self.classifier.checkpoint

    @property
    def classes(self) -> tuple[str, ...]:
        """List its classes as folders name them."""
        return tuple(map(class_name, self.classifier.classes))


@dataclass(frozen=True, slots=True)
class Answers:
    """A checkpoint's answers for N photos; `milliseconds` is what a photo took, in batches and without decoding."""

    contender: Contender
    scores: Scores
    milliseconds: float

    @property
    def verdicts(self) -> list[Verdict]:
        """Decide the verdicts `[N]`."""
        return self.contender.classifier.verdicts(self.scores)

    @property
    def is_multi_label(self) -> bool:
        """Tell whether an answer has any number of labels."""
        return self.contender.checkpoint.task == "multi-label"

    @property
    def found(self) -> NDArray[np.bool_]:
        """Mark the classes that are answered, bool `[N, classes]`: of a single-label checkpoint, one for each photo."""
        probabilities = self.scores.probabilities
        if self.is_multi_label:
            thresholds = self.contender.checkpoint.thresholds
            found: NDArray[np.bool_] = probabilities >= np.array(thresholds.labels)
            return found
        best: NDArray[np.bool_] = np.arange(probabilities.shape[1]) == probabilities.argmax(1)[:, None]
        return best

    def take(self, rows: NDArray[np.int64]) -> "Answers":
        """Take the answers for some photos."""
        unknown = self.scores.unknown
        scores = Scores(self.scores.probabilities[rows], None if unknown is None else unknown[rows])
        return replace(self, scores=scores)


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """What both checkpoints answer for the same photos, each of which is there once.

    `digests` are those of all readable files, copies included, with the names of their labels.
    """

    files: tuple[PhotoFile, ...]
    a: Answers
    b: Answers
    quarantined: tuple[Quarantined, ...]
    digests: tuple[LabelledDigest, ...]
    notes: tuple[str, ...]


def answer_photos(a: Contender, b: Contender, folder: PhotoFolder, progress: Progress) -> PairedAnswers:
    """Let both answer every photo of `folder`, in turns; raise `DatasetError` if no photo is readable."""
    pair = (_Answering(a), _Answering(b))
    readable: list[tuple[PhotoFile, str]] = []
    small: list[NDArray[np.uint8]] = []
    quarantined: list[Quarantined] = []
    preprocessings = (a.classifier.preprocessing, b.classifier.preprocessing)
    for number, batch in enumerate(read_batches(folder, preprocessings, progress)):
        photos = [item for item in batch if isinstance(item, PairedPhoto)]
        quarantined += [item for item in batch if isinstance(item, Quarantined)]
        if photos:
            readable += [(photo.file, photo.sha256) for photo in photos]
            small.append(thumbnails(photos))
            for side in (0, 1) if number % 2 else (1, 0):  # neither always finds the caches warm
                pair[side].answer([photo.pixels[side] for photo in photos])
    if not readable:
        raise DatasetError(f"No file in {folder.root} is a readable picture: {quarantined[0].reason}")
    files = [file for file, _ in readable]
    copies = find_copies(files, [digest for _, digest in readable], np.concatenate(small))
    if not len(copies.kept):
        raise DatasetError(f"Every photo in {folder.root} is there with several labels: nothing can be compared.")
    first, second = (side.answers().take(copies.kept) for side in pair)
    return PairedAnswers(
        files=tuple(files[row] for row in copies.kept),
        a=first,
        b=second,
        quarantined=tuple(quarantined),
        digests=tuple((digest, tuple(folder.classes[label] for label in file.labels)) for file, digest in readable),
        notes=tuple(copies.describe()),
    )


class _Answering:
    """Gathers the answers of one checkpoint, batch after batch, and times them."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._parts: list[Scores] = []
        self._timed: list[tuple[int, float]] = []

    def answer(self, pixels: Sequence[NDArray[np.uint8]]) -> None:
        started = time.perf_counter()
        self._parts.append(self._contender.classifier.scores(pixels))
        self._timed.append((len(pixels), time.perf_counter() - started))

    def answers(self) -> Answers:
        unknown = [part.unknown for part in self._parts if part.unknown is not None]
        probabilities = np.concatenate([part.probabilities for part in self._parts])
        whole = [seconds / count for count, seconds in self._timed if count == BATCH]
        seconds = median(whole or [seconds / count for count, seconds in self._timed])
        return Answers(
            self._contender, Scores(probabilities, np.concatenate(unknown) if unknown else None), 1000 * seconds
        )
