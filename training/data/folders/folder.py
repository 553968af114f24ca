"""The photos of a folder and their classes, from class folders `root/<class>/**` or a file of labels."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.errors import ConfigError
from whisker.model.photo_files import is_utf8, walk_files
from whisker.model.plain_text import is_safe, printable
from whisker.training.config import Grouping
from whisker.training.data.folders.labels import read_labels, split_labels
from whisker.training.data.folders.same_photos import same_photos
from whisker.training.data.groups import folder_group
from whisker.training.errors import DatasetError

_Labels = Mapping[str, tuple[str, ...] | None]  # by the path of a photo; `None` leaves it out
_Paths = Mapping[str, Sequence[str]]  # by the first path of a photo: all that lead to it


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A labelled file; `path` is relative to the root, `labels` are ascending indices into the sorted classes.

    Of a multi-label folder, a file has any number of labels; of others, exactly one. `group` names the photos that
    must stay in one split with it; without one it is empty.
    """

    path: str
    labels: tuple[int, ...]
    group: str = ""

    @property
    def label(self) -> int:
        """Return the label of a photo that has exactly one."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """The files found by `find_photos`; `classes` are the sorted class names, each of which has a file.

    `note` says in one line how a file of labels was applied, and how many photos have several labels; otherwise it is
    empty.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[PhotoFile, ...]
    note: str = ""


def find_photos(
    root: Path,
    *,
    min_classes: int = 2,
    labels_file: Path | None = None,
    grouping: Grouping | None = None,
    multi_label: bool = False,
) -> PhotoFolder:
    """List the photos in `root/<class>/`, at any depth, without hidden files, and the photos that `labels_file` names.

    The CSV file (see `labels`) corrects the folders if one of its labels is the name of a folder in `root`, or if all
    its labels are empty: photos that it does not name keep their folder's class. Otherwise it replaces the folders:
    only photos that it names are used. An empty label leaves a photo out. Levels of folders that `grouping` names are
    counted from below the class folders, or from `root` if the file replaces these.

    With `multi_label`, a photo may have several labels: separated by `|` in the file, or because links to it, or copies
    of its bytes, lie in several class folders. It is listed once, under the first of its paths; if the file names any
    of them, their folders do not count. A `|` alone in the file is a photo with none of the labels.

    Raises `DatasetError` unless there are at least `min_classes` classes and every class folder contains a file, and
    `ConfigError` if `grouping` names a column and there is no file. With `grouping`, a photo must have a group.
    """
    if grouping is not None and grouping.column is not None and labels_file is None:
        raise ConfigError(
            f"--groups names the {grouping}, so give the file that has it with --labels; for groups by folders, give "
            "--groups folder."
        )
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}: give a folder that holds one sub-folder of photos per class.")
    try:
        if labels_file is not None:
            folder = _find_labelled(root, labels_file, min_classes, grouping, multi_label=multi_label)
        else:
            folders = _list_class_folders(root, min_classes)
            found, paths = _merged(root, folders, {}) if multi_label else (_numbered(root, folders), {})
            folder = _grouped(found, _folder_groups(folders, grouping, below_class=True), paths)
    except OSError as exc:
        raise _unreadable(root, exc) from exc
    if grouping is not None and not any(file.group for file in folder.files):
        raise DatasetError(f"No photo in {root} has a group: the {grouping}, which --groups names, holds none.")
    return folder


def list_files(root: Path) -> list[str]:
    """List the files in `root`, at any depth, that `walk_files` finds.

    Raises `DatasetError` for a folder that cannot be read, which `walk_files` passes over.
    """
    paths = []
    for path in walk_files(str(root)):
        if path == "." or path.endswith("/"):
            try:
                os.scandir(root / path).close()
            except OSError as exc:
                raise _unreadable(root / path, exc) from exc
        paths.append(path)
    return paths


def _unreadable(folder: Path, exc: OSError) -> DatasetError:
    return DatasetError(f"The folder {printable(str(exc.filename or folder))} cannot be read: {exc.strerror}.")


def _find_labelled(
    root: Path, labels_file: Path, min_classes: int, grouping: Grouping | None, *, multi_label: bool
) -> PhotoFolder:
    names = {folder.name for folder in _class_folders(root)}
    rows = read_labels(labels_file, root, grouping.column if grouping else None)
    named = split_labels(labels_file, rows, names, multi_label=multi_label)
    labels = {label for several in named.values() for label in several or ()}
    corrects = bool(labels & names) or (bool(names) and not labels)
    folders = _list_class_folders(root, 1) if corrects else {}
    found, paths = _merged(root, folders, named) if multi_label else (_numbered(root, {**folders, **named}), {})
    if len(found.classes) < min_classes:
        holds = f"only one class, {found.classes[0]!r}" if found.classes else "no photo that has a label"
        raise DatasetError(f"With {labels_file}, {root} holds {holds}.")
    left_out = sum(several is None for several in named.values())
    changed = sum(several not in (None, folders.get(path)) for path, several in named.items())
    note = f"{labels_file.name} labels {len(named) - left_out:,} photos and leaves {left_out:,} out" + (
        f"; {changed:,} labels differ from the folder's" if corrects else "; class folders are ignored"
    )
    group_of = {path: row.group for path, row in rows.items()}
    group_of |= _folder_groups({**folders, **named}, grouping, below_class=corrects)
    return replace(_grouped(found, group_of, paths), note=f"{note}. {found.note}".rstrip())


def _folder_groups(paths: Iterable[str], grouping: Grouping | None, *, below_class: bool) -> dict[str, str]:
    """Map each path to the folder that names its group, if folders do."""
    if grouping is None or grouping.folder_level is None:
        return {}
    level = grouping.folder_level + below_class
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


def _list_class_folders(root: Path, min_classes: int) -> dict[str, tuple[str, ...]]:
    """Map the path of each photo in a class folder to the folder's name, its only label."""
    folders = _class_folders(root)
    if not folders:
        raise DatasetError(
            f"{root} holds no class folders: put the photos of each class into {root}/<class>/, "
            "or name a CSV file with --labels."
        )
    if len(folders) < min_classes:
        raise DatasetError(
            f"{root} holds only one class, {folders[0].name!r}: add a second folder of photos to tell it from."
        )
    labels_of: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        _require_class_folder(root, folder)
        paths = [f"{folder.name}/{path}" for path in list_files(folder)]
        if not paths:
            raise DatasetError(f"The class folder {folder} is empty: add photos to it or remove it.")
        labels_of.update(dict.fromkeys(paths, (folder.name,)))
    return labels_of


def _require_class_folder(root: Path, folder: Path) -> None:
    """Refuse a name that cannot be a class's, and a link that leads in a circle."""
    if not is_utf8(folder.name):
        raise DatasetError(f"The name of the class folder {printable(str(folder))} is not UTF-8: rename it.")
    if not is_safe(folder.name):
        raise DatasetError(
            f"The name of the class folder {printable(str(folder))} contains characters that cannot be printed: "
            "rename it."
        )
    if root.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"The class folder {folder} is a link to the folder that it lies in: remove it.")


def _class_folders(root: Path) -> list[Path]:
    return sorted((p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: p.name)


def _merged(root: Path, folders: _Labels, named: _Labels) -> tuple[PhotoFolder, _Paths]:
    """Give each photo the labels of all paths that lead to it: of those that are `named`, or else of its folders.

    Returns these paths, too.
    """
    groups: dict[str, list[str]] = {}
    labels_of: dict[str, tuple[str, ...] | None] = {}
    for path, first in same_photos(root, {**folders, **named}).items():
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


def label_matrix(labels: Sequence[Sequence[int]], classes: int) -> NDArray[np.bool_]:
    """Mark the labels of N photos, numbers of classes: bool `[N, classes]`."""
    matrix = np.zeros((len(labels), classes), np.bool_)
    for row, several in zip(matrix, labels, strict=True):
        row[list(several)] = True
    return matrix
