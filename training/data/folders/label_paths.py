"""The photos that a file of labels means: by paths of any machine, with or without the ending."""

import ntpath
import os
import posixpath
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePath

from whisker.training.data.folders.names import has_picture_ending, side_named
from whisker.training.data.folders.walk import list_files

Index = dict[str, list[str]]  # files by a name


class PhotoFinder:
    """Finds the photos in `root` that the cells of `file` name."""

    def __init__(self, root: Path, file: Path) -> None:
        self._root = root
        self._real = os.path.realpath(root)
        self._base = os.path.realpath(file.parent)

    def find(self, cell: str) -> list[str]:
        """List the files that a cell can mean, relative to the root: one, none, or several of the same name.

        Of several, one of the training side is meant: that is what files of labels are for.
        """
        for path in self._paths(cell):
            if self._is_file(path):
                return [PurePath(path).as_posix()]
        for index in (self._by_path, self._by_name):
            for path in self._paths(cell):
                if found := index.get(_plain(path)):
                    own = [file for file in found if side_named(file.partition("/")[0]) == "train"]
                    return own if len(own) == 1 else found
        return []

    def exists(self, cell: str) -> bool:
        """Tell whether a cell names a file."""
        return bool(self.find(cell))

    def _paths(self, cell: str) -> Iterator[str]:
        """Yield the paths in the root that a cell may stand for, the most literal one first."""
        for text in dict.fromkeys((cell, cell.replace("\\", "/"))):
            path = posixpath.normpath(text.strip() if self._is_absent(text) else text)
            if not path or "\0" in path:
                continue
            if not (path.startswith(("/", "..")) or ntpath.splitdrive(path)[0]):
                yield path
            yield from self._below_root(path)

    def _below_root(self, path: str) -> Iterator[str]:
        """Yield what is left of a path that is relative to the file, absolute, or begins with the root's name."""
        absolute = os.path.normpath(os.path.join(self._base, path))  # noqa: PTH118 - it need not be a path of this system
        for root in (self._real, os.path.abspath(self._root)):  # noqa: PTH100 - without following links
            if absolute.startswith(root + "/"):
                yield absolute[len(root) + 1 :]
        parts, name = path.split("/"), Path(self._real).name
        for at in range(len(parts) - 2, -1, -1):
            if parts[at] == name and ".." not in parts:
                yield "/".join(parts[at + 1 :])

    def _is_absent(self, text: str) -> bool:
        return text != text.strip() and not self._is_file(text)

    def _is_file(self, path: str) -> bool:
        return os.path.isfile(self._root / path)  # noqa: PTH113 - `is_file` raises for some names

    @cached_property
    def _files(self) -> list[str]:
        return list_files(self._root)

    @cached_property
    def _by_path(self) -> Index:
        """Map paths, with and without the ending, to files."""
        return _index((path, path) for path in self._files)

    @cached_property
    def _by_name(self) -> Index:
        """Map names, with and without the ending, to files in any folder."""
        return _index((posixpath.basename(path), path) for path in self._files)


def _index(named: Iterator[tuple[str, str]]) -> Index:
    index: Index = {}
    for name, path in named:
        keys = {_plain(name)}
        if has_picture_ending(name):
            keys.add(_plain(name.rpartition(".")[0]))
        for key in keys:
            index.setdefault(key, []).append(path)
    return index


def _plain(path: str) -> str:
    """Write a path as it is compared: without case, and with one way to write accented letters."""
    return unicodedata.normalize("NFC", path).casefold()
