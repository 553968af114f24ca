"""Compare two checkpoints on a folder of labelled photos, through the code that serves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whisker.training.comparing.answers import Answers, Contender, PairedAnswers, answer_photos
from whisker.training.comparing.changes import list_changes
from whisker.training.comparing.figures import ClassChange, Comparison, ForeignClass, with_p_values
from whisker.training.comparing.marks import MarkedAnswers
from whisker.training.data.folders.folder import PhotoFolder, find_photos, label_matrix
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.evaluation.trained import warn_of_trained_photos
from whisker.training.progress import Progress


def compare_folder(
    a: Contender, b: Contender, root: Path, progress: Progress, labels_file: Path | LabelFile | None = None
) -> Comparison:
    """Let both classify every photo of `root/<class>/`, and compare; `labels_file` is as in `find_photos`.

    Of a folder with sides, the one to test with is taken. What is compared are the classes that both know: an answer
    with another class is wrong, and of several labels, others are left out. Raises `TrainingError` for checkpoints
    that cannot be compared, and `DatasetError` for a class that neither knows, and if no readable photo is of a class
    that both know.
    """
    task = a.checkpoint.task
    if b.checkpoint.task != task:
        raise TrainingError(f"{a.file} is {task} and {b.file} is {b.checkpoint.task}: such answers cannot be compared.")
    shared = tuple(name for name in a.classes if name in b.classes)
    if not shared:
        raise TrainingError(f"{a.file} and {b.file} have no class in common: there is nothing to compare.")
    folder = find_photos(
        root, min_classes=1, labels_file=labels_file, multi_label=task == "multi-label", skip_small=True
    ).to_measure()
    unknown = [name for name in folder.classes if name not in {*a.classes, *b.classes}]
    if unknown:
        raise DatasetError(f"In {root}, {unknown[0]!r} is a class of neither checkpoint: rename it or take it out.")
    folder.say(progress)
    return _Comparing(answer_photos(a, b, folder, progress), folder, shared).run()


@dataclass(frozen=True, slots=True)
class _Comparing:
    """The steps from the answers for the photos of a folder to figures of the `shared` classes."""

    answers: PairedAnswers
    folder: PhotoFolder
    shared: tuple[str, ...]

    def run(self) -> Comparison:
        answers = self.answers
        whole = label_matrix([file.labels for file in answers.files], len(self.folder.classes))
        present = np.column_stack([self._photos_of(name, whole) for name in self.shared])
        rows = np.arange(len(whole)) if answers.a.is_multi_label else np.flatnonzero(present.any(1))
        if not present[rows].any():
            raise DatasetError(f"No readable photo in {self.folder.root} is of a class that both checkpoints know.")
        a, b = (self._mark(side, rows, present[rows]) for side in (answers.a, answers.b))
        files = [answers.files[row] for row in rows]
        labels = [[self.folder.classes[label] for label in file.labels] for file in files]
        return Comparison(
            task=answers.a.contender.checkpoint.task,
            a=a.figures(),
            b=b.figures(),
            only_a=int((a.right & ~b.right).sum()),
            only_b=int((b.right & ~a.right).sum()),
            classes=with_p_values([*self._compare_classes(a, b)]),
            foreign=tuple(self._find_foreign(whole)),
            changes=list_changes([file.path for file in files], labels, a, b),
            notes=answers.notes,
            trained_on=tuple(self._find_trained_on()),
            quarantined=tuple((item.path, item.reason) for item in answers.quarantined),
        )

    def _find_trained_on(self) -> Iterator[str]:
        """Say which checkpoint was trained with exactly these photos."""
        for name, side in (("A", self.answers.a), ("B", self.answers.b)):
            warning = warn_of_trained_photos(side.contender.checkpoint, name, self.answers.digests)
            if warning:
                yield warning

    def _photos_of(self, name: str, whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mark the photos `[N]` of a class, which the folder may lack."""
        names = self.folder.classes
        none = np.zeros(len(whole), np.bool_)
        photos: NDArray[np.bool_] = whole[:, names.index(name)] if name in names else none
        return photos

    def _mark(self, side: Answers, rows: NDArray[np.int64], present: NDArray[np.bool_]) -> MarkedAnswers:
        own = side.contender.classes
        return MarkedAnswers(side.take(rows), np.array([own.index(name) for name in self.shared]), present)

    def _compare_classes(self, a: MarkedAnswers, b: MarkedAnswers) -> Iterator[ClassChange]:
        """Count what both find of each shared class that has photos."""
        found = a.found, b.found
        for column, name in enumerate(self.shared):
            there = a.present[:, column]
            first, second = (marks[:, column] & there for marks in found)
            if there.any():
                yield ClassChange(
                    name,
                    int(there.sum()),
                    right=(int(first.sum()), int(second.sum())),
                    only=(int((first & ~second).sum()), int((second & ~first).sum())),
                    answered=(int(found[0][:, column].sum()), int(found[1][:, column].sum())),
                )

    def _find_foreign(self, whole: NDArray[np.bool_]) -> Iterator[ForeignClass]:
        """Count what is found of classes that one checkpoint alone knows."""
        sides: tuple[tuple[Literal["A", "B"], Answers], ...] = (("A", self.answers.a), ("B", self.answers.b))
        for known_to, side in sides:
            for column, name in enumerate(side.contender.classes):
                there = self._photos_of(name, whole)
                if name not in self.shared and there.any():
                    found = int((there & side.found[:, column]).sum())
                    yield ForeignClass(name, known_to, int(there.sum()), found)
