"""A folder of photos of one class, and what else may lie in a folder of class folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whisker.model.photo_files import is_utf8
from whisker.model.plain_text import is_safe, printable
from whisker.training.data.folders.names import class_name, is_skipped
from whisker.training.data.folders.walk import Walk, leads_nowhere, leads_to_folder, walk
from whisker.training.errors import DatasetError

READ_ON = "see docs/reference/folders.md"


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder of photos of one class; `path` is relative to the root, `name` is the class."""

    path: str
    name: str
    found: Walk

    @property
    def files(self) -> list[str]:
        """List the paths of its files, relative to the root."""
        return [f"{self.path}/{file}" for file in sorted(self.found.files)]


def class_folders_in(root: Path, side: str) -> list[ClassFolder]:
    """Find the class folders of a side, a folder in `root`."""
    names = list_names(root / side)[0]
    found = {name: walk_class(root, root / side / name) for name in names}
    return [ClassFolder(f"{side}/{name}", class_name(name), inside) for name, inside in found.items()]


def list_names(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """List the names of what lies in a folder: folders, files, and links to nothing."""
    folders, others, dead = list[str](), list[str](), list[str]()
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_skipped(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False) or leads_to_folder(entry):
                folders.append(entry.name)
                continue
            others.append(entry.name)
            if entry.is_symlink() and leads_nowhere(Path(entry.path)):
                dead.append(entry.name)
    return folders, others, dead


def walk_class(root: Path, folder: Path) -> Walk:
    """Walk a class folder; refuse a name that cannot be a class's, and a link that leads in a circle."""
    if not is_utf8(folder.name):
        raise DatasetError(f"The name of the class folder {printable(str(folder))} is not UTF-8: rename it.")
    if not is_safe(folder.name):
        raise DatasetError(
            f"The name of the class folder {printable(str(folder))} contains characters that cannot be printed: "
            "rename it."
        )
    if root.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"The class folder {folder} is a link to the folder that it lies in: remove it.")
    return walk(folder)


def within(folder: str, paths: Sequence[str]) -> list[str]:
    """Put a folder before paths."""
    return [f"{folder}/{path}" for path in paths]
