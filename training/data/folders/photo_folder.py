"""The photos of a folder with their labels, as they were found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.training.data.folders.names import Side
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A labelled file; `path` is relative to the root, `labels` are ascending indices into the sorted classes.

    Of a multi-label folder, a file has any number of labels; of others, exactly one. `group` names the photos that
    must stay in one split with it; without one it is empty. `side` is the side of the folder that it lies in, if the
    folder has sides.
    """

    path: str
    labels: tuple[int, ...]
    group: str = ""
    side: Side | None = None

    @property
    def label(self) -> int:
        """Return the label of a photo that has exactly one."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """The files found by `find_photos`; `classes` are the sorted class names, each of which has a file.

    `note` says in one line how a file of labels was applied, and how many photos have several labels; otherwise it is
    empty. `notices` are other sentences about what was found. `sides` map outermost folders to sides of the data set,
    `loose` are the photos beside class folders, and `empty` the class folders without a file, which were skipped.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[PhotoFile, ...]
    note: str = ""
    notices: tuple[str, ...] = ()
    sides: Mapping[str, Side] = field(default_factory=dict)
    loose: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def is_divided(self) -> bool:
        """Tell whether it sets photos aside itself, to validate or to test with."""
        return any(side != "train" for side in self.sides.values())

    def to_measure(self) -> "PhotoFolder":
        """Give the side to measure a checkpoint on: to test with or, without one, to validate with; or else all."""
        for wanted in ("test", "validation"):
            files = tuple(file for file in self.files if file.side == wanted)
            if files:
                named = " and ".join(folder for folder, side in self.sides.items() if side == wanted)
                said = f"Measured on the photos in {named}; those of other sides are left out."
                return replace(self, files=files, notices=(*self.notices, said))
        return self

    def say(self, progress: Progress) -> None:
        """Say all that is to be said about it."""
        for line in (self.note, *self.notices):
            if line:
                progress.say(line)


def label_matrix(labels: Sequence[Sequence[int]], classes: int) -> NDArray[np.bool_]:
    """Mark the labels of N photos, numbers of classes: bool `[N, classes]`."""
    matrix = np.zeros((len(labels), classes), np.bool_)
    for row, several in zip(matrix, labels, strict=True):
        row[list(several)] = True
    return matrix
