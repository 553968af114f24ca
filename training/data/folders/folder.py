"""The photos of a folder and their classes, from class folders `root/<class>/**` or a file of labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.config import Grouping
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.folders.labels import read_labels, split_labels
from whisker.training.data.folders.layout import (
    Layout,
    class_folder_names,
    find_layout,
    require_classes,
    suggestion,
)
from whisker.training.data.folders.names import Side, similar_names
from whisker.training.data.folders.photo_folder import PhotoFile, PhotoFolder, label_matrix
from whisker.training.data.folders.same_photos import same_photos
from whisker.training.data.folders.sides import describe_sides, sides_of_paths
from whisker.training.data.folders.walk import unreadable
from whisker.training.data.groups import folder_group
from whisker.training.errors import DatasetError

__all__ = ["PhotoFile", "PhotoFolder", "find_photos", "label_matrix"]

_Labels = Mapping[str, tuple[str, ...] | None]  # by the path of a photo; `None` leaves it out
_Paths = Mapping[str, Sequence[str]]  # by the first path of a photo: all that lead to it


def find_photos(
    root: Path,
    *,
    min_classes: int = 2,
    labels_file: Path | LabelFile | None = None,
    grouping: Grouping | None = None,
    multi_label: bool = False,
    skip_small: bool = False,
) -> PhotoFolder:
    """List the photos in `root/<class>/`, at any depth, without hidden files, and the photos that `labels_file` names.

    If `root` holds sides, as `root/train/<class>/` and `root/test/<class>/`, each photo knows its side (`layout`).

    The CSV file (see `labels`) corrects the folders if one of its labels is the name of a folder in `root`, or if all
    its labels are empty: photos that it does not name keep their folder's class. Otherwise it replaces the folders:
    only photos that it names are used. An empty label leaves a photo out. Levels of folders that `grouping` names are
    counted from below the class folders, or from `root` if the file replaces these.

    With `multi_label`, a photo may have several labels: separated by `|` in the file, or because links to it, or copies
    of its bytes, lie in several class folders. It is listed once, under the first of its paths; if the file names any
    of them, their folders do not count. A `|` alone in the file is a photo with none of the labels.

    Raises `DatasetError` unless there are at least `min_classes` classes and every class folder contains a file
    (`skip_small` passes over others), and `ConfigError` if `grouping` names a column and there is no file. With
    `grouping`, a photo must have a group.
    """
    if grouping is not None and grouping.column is not None and labels_file is None:
        raise ConfigError(
            f"--groups names the {grouping}, so give the file that has it with --labels; for groups by folders, give "
            "--groups folder."
        )
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}: give a folder that holds one sub-folder of photos per class.")
    reading = _Reading(root, min_classes, grouping, multi_label=multi_label, skip_small=skip_small)
    try:
        folder = reading.by_folders() if labels_file is None else reading.by_file(LabelFile.of(labels_file))
    except OSError as exc:
        raise unreadable(root, exc) from exc
    if grouping is not None and not any(file.group for file in folder.files):
        raise DatasetError(f"No photo in {root} has a group: the {grouping}, which --groups names, holds none.")
    return folder


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of a folder, by class folders or by a file of labels."""

    root: Path
    min_classes: int
    grouping: Grouping | None
    multi_label: bool = field(kw_only=True)
    skip_small: bool = field(kw_only=True)

    def by_folders(self) -> PhotoFolder:
        layout = find_layout(self.root)
        folders = self._labelled(layout, self.min_classes)
        found, paths = self._number(folders, {}, layout.sides)
        below = 2 if layout.sides else 1
        found = _grouped(found, _folder_groups(folders, self.grouping, below), paths)
        notices = (*self._noticed(layout), *_describe(found, layout, layout.loose))
        return replace(found, loose=layout.loose, notices=notices, empty=layout.empty)

    def by_file(self, file: LabelFile) -> PhotoFolder:
        names = set() if file.replaces else class_folder_names(self.root)
        rows = read_labels(file, self.root, self.grouping.column if self.grouping else None)
        named = split_labels(file.path, rows, names, multi_label=self.multi_label)
        labels = {label for several in named.values() for label in several or ()}
        corrects = bool(labels & names) or (bool(names) and not labels)
        layout = find_layout(self.root) if corrects else Layout(self.root, ())
        folders = self._labelled(layout, 1) if corrects else {}
        kept = [path for path, several in named.items() if several is not None]
        sides = layout.sides if corrects else sides_of_paths(kept)
        found, paths = self._number(folders, named, sides)
        if len(found.classes) < self.min_classes:
            holds = f"only one class, {found.classes[0]!r}" if found.classes else "no photo that has a label"
            raise DatasetError(f"With {file.path}, {self.root} holds {holds}.")
        note = _describe_file(file, named, folders, corrects=corrects)
        group_of = {path: row.group for path, row in rows.items()}
        below = (2 if sides else 1) if corrects else 0
        group_of |= _folder_groups({**folders, **named}, self.grouping, below)
        found = replace(_grouped(found, group_of, paths), note=f"{note}. {found.note}".removeprefix(". ").rstrip())
        loose = tuple(path for path in layout.loose if path not in named)
        return replace(found, loose=loose, notices=(*self._noticed(layout), *_describe(found, layout, loose)))

    def _labelled(self, layout: Layout, min_classes: int) -> dict[str, tuple[str, ...]]:
        """Map the path of each photo in a class folder to the folder's class, its only label."""
        require_classes(layout, min_classes, skip_small=self.skip_small)
        return {path: (folder.name,) for folder in layout.folders for path in folder.files}

    def _noticed(self, layout: Layout) -> list[str]:
        question = suggestion(layout) if self.min_classes < 2 else ""
        hint = [f"{self.root} holds photos in one folder only{question}"] if question else []
        return [*hint, *layout.notices(skip_small=self.skip_small)]

    def _number(self, folders: _Labels, named: _Labels, sides: Mapping[str, Side]) -> tuple[PhotoFolder, _Paths]:
        """Give classes their numbers, and each photo its side; merge the paths of a photo, side by side."""
        if self.multi_label:
            found, paths = _merged(self.root, folders, named, sides)
        else:
            found, paths = _numbered(self.root, {**folders, **named}), {}
        files = tuple(replace(file, side=sides.get(file.path.partition("/")[0])) for file in found.files)
        return replace(found, files=files, sides=sides), paths


def _describe(folder: PhotoFolder, layout: Layout, loose: Sequence[str]) -> Iterator[str]:
    """Say what else is worth knowing before a training."""
    if folder.sides:
        yield describe_sides(folder.sides, layout.unused)
    if loose:
        count = amount(len(loose), "photo")
        yield printable(f"Not used, as beside the class folders nothing says their class: {count}, {loose[0]} first.")
    for names in similar_names(folder.classes):
        listed = " and ".join(map(repr, names))
        yield f"The classes {listed} differ by case or blanks only: if they are one, give them one name."


def _describe_file(file: LabelFile, named: _Labels, folders: _Labels, *, corrects: bool) -> str:
    left_out = sum(several is None for several in named.values())
    if file.replaces and not left_out:
        return ""
    changed = sum(several not in (None, folders.get(path)) for path, several in named.items())
    return f"{file.path.name} labels {len(named) - left_out:,} photos and leaves {left_out:,} out" + (
        f"; {changed:,} labels differ from the folder's" if corrects else "; class folders are ignored"
    )


def _folder_groups(paths: Iterable[str], grouping: Grouping | None, below: int) -> dict[str, str]:
    """Map each path to the folder that names its group, if folders do; levels count `below` so many folders."""
    if grouping is None or grouping.folder_level is None:
        return {}
    level = grouping.folder_level + below
    return {path: folder_group(path, level) for path in paths}


def _grouped(folder: PhotoFolder, group_of: Mapping[str, str], paths: _Paths) -> PhotoFolder:
    """Give the photos their groups, which any of their paths may name; raise `DatasetError` if they name several."""
    files = []
    for file in folder.files:
        named = {group_of[path]: path for path in paths.get(file.path, (file.path,)) if group_of.get(path)}
        if len(named) > 1:
            (one, first), (other, second) = list(named.items())[:2]
            raise DatasetError(
                f"{printable(first)} and {printable(second)} are the same photo, but of the groups {one!r} and "
                f"{other!r}: give them one group."
            )
        files.append(replace(file, group=next(iter(named), "")))
    return replace(folder, files=tuple(files))


def _merged(root: Path, folders: _Labels, named: _Labels, sides: Mapping[str, Side]) -> tuple[PhotoFolder, _Paths]:
    """Give each photo the labels of all paths that lead to it: of those that are `named`, or else of its folders.

    Paths of several sides are of several photos. Returns the paths of each photo, too.
    """
    groups: dict[str, list[str]] = {}
    labels_of: dict[str, tuple[str, ...] | None] = {}
    by_side: dict[Side | None, list[str]] = {}
    for path in {**folders, **named}:
        by_side.setdefault(sides.get(path.partition("/")[0]), []).append(path)
    for own in by_side.values():
        for path, first in same_photos(root, own).items():
            groups.setdefault(first, []).append(path)
    for first, paths in groups.items():
        said = [named[path] for path in paths if path in named] or [folders[path] for path in paths]
        kept = [several for several in said if several is not None]
        labels_of[first] = tuple({label: None for several in kept for label in several}) if kept else None
    found = _numbered(root, labels_of)
    several, none = sum(len(file.labels) > 1 for file in found.files), sum(not file.labels for file in found.files)
    without = f", and {none:,} have none" if none else ""
    return replace(found, note=f"{several:,} of {len(found.files):,} photos have several labels{without}."), groups


def _numbered(root: Path, labels_of: _Labels) -> PhotoFolder:
    """Assign numbers to the classes by their sorted names, and order the files that have labels by these and path."""
    classes = sorted({label for labels in labels_of.values() for label in labels or ()})
    number = {name: index for index, name in enumerate(classes)}
    files = [
        PhotoFile(path, tuple(sorted(number[label] for label in labels)))
        for path, labels in labels_of.items()
        if labels is not None
    ]
    return PhotoFolder(root, tuple(classes), tuple(sorted(files, key=lambda file: (file.labels, Path(file.path)))))
