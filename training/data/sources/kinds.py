"""What a path leads to: a folder of photos, an archive, a data set in tables, or shards."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from whisker.model.photo_files import is_picture
from whisker.model.regular_file import open_regular
from whisker.training.data.folders.names import has_picture_ending, is_skipped, side_named
from whisker.training.errors import DatasetError

Kind: TypeAlias = Literal["folder", "zip", "tar", "tar shards", "tables"]
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_TABLES, _TARS = (".parquet", ".arrow"), (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd")
_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PAR1", "tables"),
    (b"ARROW1", "tables"),
    *((start, "tar") for start in _COMPRESSED),
)
_OTHERS = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer of Git LFS (`git lfs pull` fetches the file)",
}
_MAX_NAMES = 100_000  # of the files that a pattern names
_MAX_DEPTH = 3  # folders in which tables and shards are looked for


@dataclass(frozen=True, slots=True)
class Source:
    """What a path leads to: its kind and, but for folders, its files."""

    kind: Kind
    path: Path
    files: tuple[Path, ...] = ()


def recognise(path: Path) -> Source:
    """Tell what a path leads to; raise `DatasetError` with one sentence if that holds no labelled photos.

    A path to nothing is a folder's: whoever looks for photos in it says that it is not there.
    """
    if path.is_dir():
        return _recognise_folder(path)
    if path.is_file():
        return Source(_kind_of(path), path, (path,))
    if not os.path.lexists(path):
        if _URL.match(str(path)):
            raise DatasetError(
                f"{str(path).replace(':/', '://', 1)} is an address: download it first, and give the file or folder."
            )
        if is_pattern(path):
            return _recognise_pattern(path)
        return Source("folder", path)
    raise DatasetError(f"{path} is neither a folder nor a file.")


def source_name(path: Path) -> str:
    """Name what is made of a source: after the folder, or the file without its endings and its number."""
    if path.is_dir():
        return path.resolve().name
    stem = re.sub(r"(\.tar)?\.[A-Za-z0-9]{2,7}$", "", path.name) or path.name
    if is_pattern(path):
        stem = re.sub(r"[\W_]*(\{.*\}|[*?]|\[.*\]).*", "", stem)
        return stem if stem and side_named(stem) is None else path.resolve().parent.name
    return re.sub(r"[-_.]\d+-of-\d+$", "", stem) or path.resolve().parent.name


def is_pattern(path: Path) -> bool:
    """Tell whether a path may name several files, such as `train-{0000..0011}.tar` and `train-*.parquet`."""
    return any(letter in path.name for letter in "{*?[") and not os.path.lexists(path)


def _kind_of(file: Path) -> Kind:
    """Tell by a file's first bytes what it is."""
    try:
        with open_regular(file) as opened:
            start = opened.read(512)
    except OSError as exc:
        raise DatasetError(f"{file} cannot be read: {exc.strerror}.") from exc
    kind = next((kind for begin, kind in _STARTS if start.startswith(begin)), None)
    if kind is not None:
        return kind
    if start[257:262] == b"ustar" or file.name.lower().endswith(_TARS):
        return "tar"
    if file.suffix.lower() == ".arrow":
        return "tables"
    other = next((name for begin, name in _OTHERS.items() if start.startswith(begin)), None)
    if is_picture(file):
        other = "one photo"
    elif file.suffix.lower() == ".csv":
        other = "a CSV file, which --labels takes"
    raise DatasetError(
        f"{file} is {other or 'no folder and no archive or table that Whisker reads'}: give a folder of class folders, "
        "a zip or tar archive of one, Parquet files, a Hugging Face data set on disk or WebDataset shards."
    )


def _recognise_folder(folder: Path) -> Source:
    """Tell a folder of photos from one of tables or shards, which holds no photo at all."""
    tables, tars = list[Path](), list[Path]()
    for file in _walk(folder, _MAX_DEPTH):
        name = file.name.lower()
        if has_picture_ending(name):
            return Source("folder", folder)
        if name.endswith(_TABLES):
            tables.append(file)
        elif name.endswith(_TARS):
            tars.append(file)
    if tables:
        return Source("tables", folder, tuple(sorted(tables)))
    return Source("tar shards", folder, tuple(sorted(tars))) if tars else Source("folder", folder)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the files in a folder, those of sub-folders last; what cannot be read is left to whoever needs it."""
    folders = list[Path]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_skipped(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(Path(entry.path))
                else:
                    yield Path(entry.path)
    except OSError:
        return
    for inner in folders if depth else ():
        yield from _walk(inner, depth - 1)


def _recognise_pattern(pattern: Path) -> Source:
    """Find the shards that a pattern such as `train-{0000..0011}.tar` or `train-*.parquet` names."""
    names = list(islice(_expanded(pattern.name), _MAX_NAMES + 1))
    if len(names) > _MAX_NAMES:
        raise DatasetError(f"{pattern} names more than {_MAX_NAMES:,} files: give the folder that they are in.")
    found = {name: sorted(pattern.parent.glob(name)) for name in names}
    files = [file for several in found.values() for file in several]
    missing = [name for name, several in found.items() if not several]
    if not files or missing:
        raise DatasetError(
            f"There is no file {pattern.parent / (missing or [pattern.name])[0]}, which {pattern} names."
        )
    kinds = {_kind_of(file) for file in files}
    if kinds == {"tables"}:
        return Source("tables", pattern, tuple(files))
    if kinds == {"tar"}:
        return Source("tar shards", pattern, tuple(files))
    raise DatasetError(f"{pattern} names files that are neither Parquet files nor WebDataset shards: give one archive.")


def _expanded(name: str) -> Iterator[str]:
    """Write out the numbers in braces, such as `{000..011}` and `{a,b}`."""
    match = re.search(r"\{(\d{1,18})\.\.(\d{1,18})\}|\{([^{}]*,[^{}]*)\}", name)
    if match is None:
        yield name
        return
    middles: Iterable[str]
    if match[3] is not None:
        middles = match[3].split(",")
    else:
        middles = (str(number).zfill(len(match[1])) for number in range(int(match[1]), int(match[2]) + 1))
    for middle in middles:
        yield from _expanded(name[: match.start()] + middle + name[match.end() :])
