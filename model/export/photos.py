"""Checkpoint and exported file, compared on photos of the user's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whisker.model.answers.decision_rule import Scores
from whisker.model.errors import ExportError, PictureError
from whisker.model.export.answers import Answers
from whisker.model.export.manifest import NETWORK_BOUND, RESIZE_BOUND
from whisker.model.export.runtimes.base import ExportedFile
from whisker.model.photo_files import read_photo
from whisker.model.predictor import Predictor


@dataclass(frozen=True, slots=True)
class PhotoComparison:
    """How the answers for photos differ: by how much at most, for which one, and how many labels and verdicts."""

    photos: int
    unreadable: int
    difference: float
    worst: str
    labels: int
    verdicts: int

    def to_json(self) -> dict[str, object]:
        """Give a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    def describe(self) -> str:
        """Say it in one sentence, or two."""
        left_out = f" {self.unreadable:,} of the files cannot be used and were left out." if self.unreadable else ""
        return (
            f"Compared with the checkpoint on {self.photos:,} photos: the largest difference is {self.difference:.2g} "
            f"({self.worst}), other labels: {self.labels:,}, other verdicts: {self.verdicts:,}.{left_out}"
        )


def compare_photos(
    file: ExportedFile,
    checkpoint: Predictor,
    root: Path,
    paths: Sequence[str],
    advance: Callable[[float], None],
) -> PhotoComparison:
    """Compare on the photos `paths` in `root`, each as a file's bytes; `advance` hears of each.

    The exported file gets whole pictures if it resizes. Raises `ExportError` if no photo can be read.
    """
    found: list[tuple[float, str, bool, bool]] = []
    for path in paths:
        try:
            pair = _answer_both(file, checkpoint, read_photo(root / path))
        except (PictureError, OSError):
            pair = None
        if pair is not None:
            theirs, ours = pair
            other_label, other_verdict = (theirs.best != ours.best).any(), (theirs.verdicts != ours.verdicts).any()
            found.append((theirs.difference(ours), path, bool(other_label), bool(other_verdict)))
        advance(1)
    if not found:
        raise ExportError(f"None of the {len(paths):,} files in {root} is a photo that can be read.")
    difference, worst, _, _ = max(found)
    labels, verdicts = sum(label for _, _, label, _ in found), sum(verdict for *_, verdict in found)
    return PhotoComparison(len(found), len(paths) - len(found), difference, worst, labels, verdicts)


def require_same(file: ExportedFile, found: PhotoComparison) -> None:
    """Raise `ExportError` if a photo's answer differs by more than the bound."""
    bound = RESIZE_BOUND if file.manifest.resizes else NETWORK_BOUND
    if not found.difference <= bound:
        raise ExportError(f"The file answers otherwise than the checkpoint (allowed: {bound:g}). {found.describe()}")


def _answer_both(file: ExportedFile, checkpoint: Predictor, data: bytes) -> tuple[Answers, Answers]:
    preprocessing, rule = file.manifest.preprocessing, file.manifest.rule
    pixels = preprocessing.decode(data)
    given = preprocessing.read(data, resized=False).pixels if file.manifest.resizes else pixels
    scores: Scores = checkpoint.scores([pixels])
    return file.run(np.ascontiguousarray(given)[None]), Answers.decide(rule, scores)
