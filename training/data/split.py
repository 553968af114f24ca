"""Seeded, stratified splits that keep groups of photos together: groups of duplicates, and groups that users name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.training.errors import DatasetError

SKIP_SMALL = "add photos, or pass over such classes with --skip-small"
_BALANCED_ATTEMPTS = 5  # orders of the groups that are tried for a split with the shares that were asked for
_ATTEMPTS = 200  # the later ones are for a split that has every class at all


@dataclass(frozen=True, slots=True)
class SplitIndices:
    """Sorted indices of the photos in each split; the test split is used once, after everything is chosen."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_photos(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    *,
    seed: int,
    validation: float,
    test: float,
) -> SplitIndices:
    """Split photos by the given fractions of every class, as far as its groups allow; no group is in two splits.

    Groups of more than a quarter of a split go to training. A group belongs to the class of most of its photos. Raises
    `DatasetError` for a class with fewer than three groups: each split needs one.
    """
    rng = np.random.default_rng(seed)
    members = members_of(groups)
    majority = np.array([np.bincount(labels[photos]).argmax() for photos in members])
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for label, name in enumerate(classes):
        order = rng.permutation(np.flatnonzero(majority == label))
        if len(order) < 3:
            raise DatasetError(
                f"The class {name!r} has {len(order)} different readable photos, not counting duplicates: "
                f"it needs at least 3, one each to train, to validate and to test with: {SKIP_SMALL}."
            )
        # A large group is one picture many times: in the test split it would count as many questions.
        sizes = np.array([len(members[group]) for group in order])
        order = order[np.argsort(sizes > max(1, min(test, validation) * sizes.sum() / 4), kind="stable")]
        photos = np.cumsum([len(members[group]) for group in order])
        first, second = np.searchsorted(photos, [test * photos[-1], (test + validation) * photos[-1]]) + 1
        first = np.clip(first, 1, len(order) - 2)  # every split gets a group
        second = np.clip(second, first + 1, len(order) - 1)
        chosen = np.split(order, [first, second])
        parts.append(tuple(np.concatenate([members[group] for group in part]) for part in chosen))
    test_rows, validation_rows, train_rows = (np.sort(np.concatenate(part)) for part in zip(*parts, strict=True))
    return SplitIndices(train_rows, validation_rows, test_rows)


def split_groups(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    *,
    seed: int,
    validation: float,
    test: float,
) -> SplitIndices:
    """Split photos whose groups may be large and span classes; every split gets photos of every class.

    The fractions are of every class, and kept as far as the groups allow. Raises `DatasetError` if there is only one
    group, if a class is in fewer than three, or if no way is found to give every split every class.
    """
    parts = _list_groups(labels, groups, len(classes))
    _require_enough(parts, classes)
    indices = deal_groups(parts, len(classes), seed=seed, validation=validation, test=test)
    if indices is None:
        raise DatasetError(
            "No way was found to divide the groups of --groups so that training, validation and test each have photos "
            "of every class: use smaller groups, or add photos of the rare classes in other groups."
        )
    return indices


@dataclass(frozen=True, slots=True)
class Group:
    """The positions of a group's photos, the classes that it has photos of, and its fraction of each one's photos."""

    photos: NDArray[np.int64]
    classes: NDArray[np.int64]
    fractions: NDArray[np.float64]


def deal_groups(
    groups: Sequence[Group], classes: int, *, seed: int, validation: float, test: float
) -> SplitIndices | None:
    """Deal groups to the splits so that every split gets photos of every class; `None` if no way is found."""
    rng = np.random.default_rng(seed)
    shares = np.array([1 - validation - test, validation, test])
    for attempt in range(_ATTEMPTS):
        deal = _Deal(groups, classes, shares, cover=attempt >= _BALANCED_ATTEMPTS)
        order = rng.permutation(len(groups))
        order = order[np.argsort(deal.precedence()[order], kind="stable")]
        if deal.run(order):
            return deal.indices()
    return None


class _Deal:
    """The dealing of G groups of K classes to the three splits, whose shares `[3]` are of every class's photos."""

    def __init__(self, groups: Sequence[Group], classes: int, shares: NDArray[np.float64], *, cover: bool) -> None:
        self.groups, self.shares, self.cover = groups, shares[:, None], cover
        self.filled = np.zeros((3, classes))  # fraction of each class's photos that each split has
        self.split_of = np.full(len(groups), -1)
        owners = np.repeat(np.arange(len(groups)), [len(group.classes) for group in groups])
        held = np.concatenate([group.classes for group in groups])
        self.holders = [owners[positions] for positions in members_of(held)]  # groups with photos of each class
        self.left = np.bincount(held)  # of these, the number that is not dealt

    def run(self, order: NDArray[np.int64]) -> bool:
        """Deal the groups, in `order` but for those that have lost a choice; tell whether every split has every class.

        Groups that few splits are open to come next, those with the fewest first, as in the colouring of graphs
        (Brélaz 1979). Later they might have no choice at all.
        """
        for first in order.tolist():
            choices = {first: len(self.shares)}
            while choices:
                group = min(choices, key=lambda index: choices[index])
                del choices[group]
                if self.split_of[group] >= 0:
                    continue
                open_splits = self._open_splits(group)
                if not open_splits.any():
                    return False
                self._put(group, self._best(self.groups[group], open_splits))
                choices |= {other: int(self._open_splits(other).sum()) for other in self._pressed_by(group)}
        return True

    def precedence(self) -> NDArray[np.int64]:
        """Rank the groups `[G]`, the first to deal with the lowest number.

        Large groups come first, because small ones even out what they leave. To `cover` classes, groups with rare ones
        come first, while there is most choice.
        """
        if self.cover:
            return np.array([self.left[group.classes].min(initial=len(self.groups)) for group in self.groups])
        return np.array([-len(group.photos).bit_length() for group in self.groups])

    def indices(self) -> SplitIndices:
        dealt = [*zip(self.groups, self.split_of.tolist(), strict=True)]
        photos = ([group.photos for group, of in dealt if of == split] for split in range(len(self.shares)))
        return SplitIndices(*(np.sort(np.concatenate(parts)) for parts in photos))

    def _open_splits(self, index: int) -> NDArray[np.bool_]:
        """Tell which splits `[3]` a group may go to.

        Once a class has only as many groups left as there are splits without it, each of them must go to such a split.
        """
        classes = self.groups[index].classes
        without = self.filled[:, classes] == 0
        pressing = without.sum(0) >= self.left[classes]
        allowed: NDArray[np.bool_] = without[:, pressing].all(1)
        return allowed

    def _best(self, group: Group, open_splits: NDArray[np.bool_]) -> int:
        """Choose the split for which the squared deviations from its share, divided by the share, grow least.

        To `cover` classes, splits come first that lack the group's classes, above all those with few other groups left.
        """
        if self.cover:
            without = self.filled[:, group.classes] == 0
            urgency = (without / (1 + self.left[group.classes] - without.sum(0))).sum(1)
            open_splits = open_splits & (urgency >= urgency[open_splits].max())
        lacks = 1 - (self.filled[:, group.classes] + group.fractions / 2) / self.shares
        return int(np.where(open_splits, lacks @ group.fractions, -np.inf).argmax())

    def _put(self, index: int, split: int) -> None:
        group = self.groups[index]
        self.split_of[index] = split
        self.filled[split, group.classes] += group.fractions
        self.left[group.classes] -= 1

    def _pressed_by(self, index: int) -> Iterator[int]:
        """Yield the groups that may have lost a choice when this one was dealt."""
        for label in self.groups[index].classes:
            lacking = np.count_nonzero(self.filled[:, label] == 0)
            if lacking and lacking >= self.left[label]:
                holders = self.holders[label]
                yield from holders[self.split_of[holders] < 0].tolist()


def _list_groups(labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int) -> list[Group]:
    totals = np.bincount(labels, minlength=classes)
    parts = []
    for photos in members_of(groups):
        held, counts = np.unique(labels[photos], return_counts=True)
        parts.append(Group(photos, held, counts / totals[held]))
    return parts


def _require_enough(groups: Sequence[Group], classes: Sequence[str]) -> None:
    if len(groups) == 1:
        raise DatasetError(
            f"With --groups, all {len(groups[0].photos):,} photos are one group, so that none are left to validate and "
            "to test with: use smaller groups."
        )
    holders = np.bincount(np.concatenate([group.classes for group in groups]), minlength=len(classes))
    scarce, count = int(holders.argmin()), int(holders.min())
    if count < 3:
        raise DatasetError(
            f"The class {classes[scarce]!r} is in {count} different groups of --groups, where groups that share "
            "look-alikes count as one: it needs at least 3, one each to train, to validate and to test with; "
            f"{SKIP_SMALL}."
        )


def members_of(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """List the positions of each number's members, in the order of the numbers."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
