"""The photos in a report: what the network sees, where it is wrong, and what may be wrong with the data."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whisker.model.answers.decision_rule import Scores
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.classifier import Classifier
from whisker.model.plain_text import printable
from whisker.training.audit.label_errors import find_doubtful
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.folders.folder import find_photos
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.evaluation.evaluate import require_single_label, run_folder
from whisker.training.progress import Progress

_MAX_SIDE = 160  # pixels, of a thumbnail
_QUALITY = 80
_MAX_COPIES = 6  # photos shown of one group of duplicates


@dataclass(frozen=True, slots=True)
class Shown:
    """One photo with its label and, where it is not empty, the answer; `pixels` is uint8 `[H, W, 3]` RGB."""

    pixels: NDArray[np.uint8]
    path: str
    label: str
    answer: str
    score: float
    note: str = ""

    def data_uri(self) -> str:
        """Encode a thumbnail for a page."""
        image = Image.fromarray(self.pixels)
        image.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Galleries:
    """The photos in a report. `origin` says which photos they are, such as "the test photos"."""

    seen: tuple[Shown, ...]  # as the network sees them, after preprocessing
    worst: tuple[Shown, ...]  # wrong answers, most confident first
    doubtful: tuple[Shown, ...]  # labels most likely wrong, most doubtful first
    duplicates: tuple[tuple[Shown, ...], ...]  # groups that look the same; those with several labels first
    origin: str = "the test photos"


@dataclass(frozen=True, slots=True)
class _Answers:
    """N photos with their answers; photo i has the pixels `pixels[rows[i]]`."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    paths: Sequence[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: Sequence[str]

    def show(self, index: int, note: str = "") -> Shown:
        best = int(self.probabilities[index].argmax())
        return Shown(
            np.array(self.pixels[self.rows[index]]),  # a copy: a memory map may be closed
            self.paths[index],
            self.classes[self.labels[index]],
            self.classes[best],
            float(self.probabilities[index, best]),
            note,
        )


def choose_galleries(  # noqa: PLR0917 - a photo's data, in parallel
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    paths: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    *,
    unknown_scores: NDArray[np.float32] | None = None,
    duplicates: Sequence[Sequence[int]] = (),
    limit: int = 24,
    origin: str = "the test photos",
) -> Galleries:
    """Choose at most `limit` photos, or groups, for each gallery, among N with `probabilities` `[N, K]`.

    `pixels` is uint8 `[M, H, W, 3]`, with photo i in row `rows[i]`, and `duplicates` are groups of such i. With
    `unknown_scores` `[N]`, photos unlike all training photos count as doubtful too.
    """
    answers = _Answers(pixels, rows, paths, labels, probabilities, classes)
    return Galleries(
        seen=tuple(answers.show(index) for index in _sample_classes(labels, limit)),
        worst=tuple(answers.show(index) for index in _most_confident_errors(labels, probabilities, limit)),
        doubtful=_doubtful(answers, unknown_scores, limit),
        duplicates=_duplicates(answers, duplicates, limit),
        origin=origin,
    )


def open_galleries(
    classifier: Classifier, root: Path, progress: Progress, labels_file: Path | LabelFile | None = None
) -> Galleries:
    """Choose galleries among the readable photos of `root/<class>/`, classified as a server would classify them.

    `labels_file` is as in `find_photos`. Raises `DatasetError` as `find_photos` and `run_folder` do, and
    `TrainingError` for a multi-label checkpoint.
    """
    require_single_label(classifier.checkpoint, "`whisker report --photos`")
    folder = find_photos(root, min_classes=1, labels_file=labels_file, skip_small=True).to_measure()
    folder.say(progress)
    side = classifier.preprocessing.size
    with TemporaryFile() as file:  # all photos may not fit into memory
        pixels = np.memmap(file, np.uint8, "w+", shape=(len(folder.files), side, side, 3))
        result = run_folder(classifier, folder, _Recorder(classifier, pixels), progress)
        rows = np.arange(len(result.paths))
        groups = group_duplicates(pixels, rows, [hashlib.sha256(pixels[row]).hexdigest() for row in rows])
        unknown = [scores.unknown for scores in result.answers if scores.unknown is not None]
        return choose_galleries(
            pixels,
            rows,
            [printable(path) for path in result.paths],
            result.labels,
            np.concatenate([scores.probabilities for scores in result.answers]),
            classifier.classes,
            unknown_scores=np.concatenate(unknown) if unknown else None,
            duplicates=_members(groups),
            origin=f"{len(rows):,} photos of {printable(root.resolve().name)}",
        )


@dataclass(slots=True)
class _Recorder:
    """Score batches of pictures, and keep their pixels in uint8 `[M, size, size, 3]`."""

    classifier: Classifier
    pixels: NDArray[np.uint8]
    kept: int = 0

    def __call__(self, pictures: list[NDArray[np.uint8]]) -> Scores:
        self.pixels[self.kept : self.kept + len(pictures)] = pictures
        self.kept += len(pictures)
        return self.classifier.scores(pictures)


def _members(groups: NDArray[np.int64]) -> list[list[int]]:
    """List the positions in each group of two or more."""
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(index)
    return [group for group in members.values() if len(group) > 1]


def _sample_classes(labels: NDArray[np.int64], limit: int) -> list[int]:
    """Take photos from each class in turn, evenly from its first to its last."""
    present = np.unique(labels)
    each = -(-limit // len(present))
    members = [np.flatnonzero(labels == label) for label in present]
    spread = [group[np.linspace(0, len(group) - 1, min(each, len(group))).astype(np.int64)] for group in members]
    in_turn = [int(group[turn]) for turn in range(each) for group in spread if turn < len(group)]
    return in_turn[:limit]


def _most_confident_errors(labels: NDArray[np.int64], probabilities: NDArray[np.float32], limit: int) -> list[int]:
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    order = np.argsort(-probabilities[wrong].max(1), kind="stable")
    return [int(index) for index in wrong[order][:limit]]


def _doubtful(answers: _Answers, unknown_scores: NDArray[np.float32] | None, limit: int) -> tuple[Shown, ...]:
    doubts = find_doubtful(answers.probabilities, answers.labels, unknown_scores)
    other = doubts.suggested != answers.labels
    strange = np.zeros(len(other), np.bool_) if unknown_scores is None else unknown_scores > UNKNOWN_SCORE
    chosen = [int(index) for index in doubts.order if other[index] or strange[index]]
    return tuple(
        answers.show(
            index, f"looks like {answers.classes[doubts.suggested[index]]}" if other[index] else "like no class"
        )
        for index in chosen[:limit]
    )


def _duplicates(answers: _Answers, groups: Sequence[Sequence[int]], limit: int) -> tuple[tuple[Shown, ...], ...]:
    by_labels = sorted(groups, key=lambda group: -len(np.unique(answers.labels[list(group)])))
    return tuple(tuple(answers.show(index) for index in group[:_MAX_COPIES]) for group in by_labels[:limit])
