"""Groups of photos that users name with `--groups`, such as a camera's or a patient's, joined where photos look alike.

A group is named by a column of the file of labels or by a folder. Photos with equal names are one group, whatever their
classes are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.training.config import Grouping
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class PhotoGroups:
    """The group of each of N photos, as the position of its first photo, int64 `[N]`.

    Of the `named` groups, `joined` share look-alikes with another one and were joined. `alone` photos have no group.
    """

    numbers: NDArray[np.int64]
    named: int
    joined: int
    alone: int

    @property
    def count(self) -> int:
        """Count the groups, with those of photos that had none."""
        return len(np.unique(self.numbers))

    @property
    def largest(self) -> int:
        """Count the photos of the largest group."""
        return int(np.bincount(self.numbers).max())

    def report(self, grouping: Grouping, progress: Progress) -> None:
        """Say in one line how many groups there are, and in another how many photos have none."""
        joined = f"{self.joined:,} share look-alikes and were joined" if self.joined else "none share look-alikes"
        progress.say(
            f"Groups by {grouping}: {self.named:,}, of which {joined}; the largest has {self.largest:,} photos."
        )
        if self.alone:
            progress.say(f"Photos without a group: {self.alone:,}, each of which is a group of its own.")


def folder_group(path: str, level: int) -> str:
    """Name the folder at a level of a relative path, 1 being the outermost; "" if the path is shorter."""
    folders = path.split("/")[:-1]
    return folders[level - 1] if level <= len(folders) else ""


def join_groups(names: Sequence[str], look_alikes: NDArray[np.int64]) -> PhotoGroups:
    """Join the groups that N photos name, "" for none, with those of look-alikes, numbered as by `group_duplicates`."""
    first: dict[str, int] = {}
    links = [first.setdefault(name, index) if name else index for index, name in enumerate(names)]
    parents = [*range(len(names))]
    for index, (same_name, look_alike) in enumerate(zip(links, look_alikes.tolist(), strict=True)):
        _unite(parents, index, same_name)
        _unite(parents, index, look_alike)
    numbers = np.array([_root(parents, index) for index in range(len(names))], dtype=np.int64)
    sharing = np.bincount(numbers[np.array([*first.values()], dtype=np.int64)])  # named groups that became each group
    return PhotoGroups(numbers, len(first), int(sharing[sharing > 1].sum()), sum(not name for name in names))


def _unite(parents: list[int], left: int, right: int) -> None:
    low, high = sorted((_root(parents, left), _root(parents, right)))
    parents[high] = low


def _root(parents: list[int], index: int) -> int:
    """Follow the parents to the first photo of a group, and halve the path for the next time."""
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index
