"""The photos of a folder and their classes, from class folders `root/<class>/**` or a file of labels."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from whisker.model.errors import ConfigError
from whisker.model.photo_files import is_utf8, printable, walk_files
from whisker.training.config import Grouping
from whisker.training.data.groups import folder_group
from whisker.training.data.labels import read_labels
from whisker.training.errors import DatasetError


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A labelled file; `path` is relative to the root, `label` an index into the sorted classes.

    `group` names the photos that must stay in one split with it; without one it is empty.
    """

    path: str
    label: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """The files found by `find_photos`; `classes` are the sorted class names, each of which has a file.

    `note` says in one line how a file of labels was applied; without one it is empty.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[PhotoFile, ...]
    note: str = ""


def find_photos(
    root: Path, *, min_classes: int = 2, labels_file: Path | None = None, grouping: Grouping | None = None
) -> PhotoFolder:
    """List the photos in `root/<class>/`, at any depth, without hidden files, and the photos that `labels_file` names.

    The CSV file (`whisker.training.data.labels`) corrects the folders if one of its labels is the name of a folder in
    `root`, or if all its labels are empty: photos that it does not name keep their folder's class. Otherwise it
    replaces the folders: only photos that it names are used. An empty label leaves a photo out. Levels of folders that
    `grouping` names are counted from below the class folders, or from `root` if the file replaces these.

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
        if labels_file is None:
            label_of = _list_class_folders(root, min_classes)
            folder = _numbered(root, label_of, _folder_groups(label_of, grouping, below_class=True))
        else:
            folder = _find_labelled(root, labels_file, min_classes, grouping)
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


def _find_labelled(root: Path, labels_file: Path, min_classes: int, grouping: Grouping | None) -> PhotoFolder:
    rows = read_labels(labels_file, root, grouping.column if grouping else None)
    named = {path: row.label for path, row in rows.items()}
    labels, names = set(named.values()) - {""}, {folder.name for folder in _class_folders(root)}
    corrects = bool(labels & names) or (bool(names) and not labels)
    folders = _list_class_folders(root, 1) if corrects else {}
    label_of = {path: label for path, label in {**folders, **named}.items() if label}
    classes = sorted(set(label_of.values()))
    if len(classes) < min_classes:
        found = f"holds only one class, {classes[0]!r}" if classes else "holds no photo that has a label"
        raise DatasetError(f"With {labels_file}, {root} {found}.")
    left_out = sum(not label for label in named.values())
    changed = sum(label not in ("", folders.get(path)) for path, label in named.items())
    note = f"{labels_file.name} labels {len(named) - left_out:,} photos and leaves {left_out:,} out" + (
        f"; {changed:,} labels differ from the folder's" if corrects else "; class folders are ignored"
    )
    group_of = {path: row.group for path, row in rows.items()} | _folder_groups(
        label_of, grouping, below_class=corrects
    )
    return replace(_numbered(root, label_of, group_of), note=note + ".")


def _folder_groups(paths: Iterable[str], grouping: Grouping | None, *, below_class: bool) -> dict[str, str]:
    """Map each path to the folder that names its group, if folders do."""
    if grouping is None or grouping.folder_level is None:
        return {}
    level = grouping.folder_level + below_class
    return {path: folder_group(path, level) for path in paths}


def _list_class_folders(root: Path, min_classes: int) -> dict[str, str]:
    """Map the path of each photo in a class folder to the folder's name."""
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
    label_of = {}
    for folder in folders:
        if not is_utf8(folder.name):
            raise DatasetError(f"The name of the class folder {printable(str(folder))} is not UTF-8: rename it.")
        paths = [f"{folder.name}/{path}" for path in list_files(folder)]
        if not paths:
            raise DatasetError(f"The class folder {folder} is empty: add photos to it or remove it.")
        label_of.update(dict.fromkeys(paths, folder.name))
    return label_of


def _class_folders(root: Path) -> list[Path]:
    return sorted((p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: p.name)


def _numbered(root: Path, label_of: Mapping[str, str], group_of: Mapping[str, str]) -> PhotoFolder:
    """Assign numbers to the classes by their sorted names, and order the files by class and path."""
    classes = sorted(set(label_of.values()))
    number = {name: index for index, name in enumerate(classes)}
    files = [PhotoFile(path, number[label], group_of.get(path, "")) for path, label in label_of.items()]
    return PhotoFolder(root, tuple(classes), tuple(sorted(files, key=lambda file: (file.label, Path(file.path)))))
