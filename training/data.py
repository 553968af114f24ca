"""From a folder of photos to pixels in one memory-mapped file.

`find_photos` lists `root/<class>/**` and what a file of labels says of it, `decode_photos` decodes each file once with
`model.preprocessing` into a cache that survives an interruption. A file that does not decode is quarantined: listed and
reported, never touched.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from model.cores import available_cores
from model.errors import PictureError
from model.photo import read_photo
from model.preprocessing import Preprocessing
from training.errors import DatasetError, TrainingError
from training.labels import read_labels
from training.progress import Progress

_CHUNK = 256  # photos decoded between two entries in the cache's journal


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A labelled file; `path` is relative to the root, `label` an index into the sorted classes."""

    path: str
    label: int


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """What `find_photos` found; `classes` are the sorted names of the classes, each of which has a file.

    `note` says in one line what a file of labels changed; without one it is empty.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[PhotoFile, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One file's outcome: the SHA-256 of its bytes, or why it was quarantined."""

    sha256: str = ""
    error: str = ""


def find_photos(root: Path, *, at_least: int = 2, labels_file: Path | None = None) -> PhotoFolder:
    """List the photos in `root/<class>/`, at any depth, hidden files left out, and the photos that `labels_file` names.

    The CSV file (`training.labels`) corrects the folders where one of its labels is the name of a folder in `root`, or
    where all of them are empty: the photos that it does not name keep their folder's class. Otherwise it stands alone:
    folders mean nothing, and a photo that it does not name is not used. An empty label leaves a photo out.

    Raises `DatasetError` unless there are `at_least` so many classes and every class folder holds a file.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}: give a folder that holds one sub-folder of photos a class.")
    try:
        if labels_file is None:
            return _numbered(root, _list_class_folders(root, at_least))
        return _find_labelled(root, labels_file, at_least)
    except OSError as exc:
        raise DatasetError(f"The folder {exc.filename or root} cannot be read: {exc.strerror}.") from exc


def _find_labelled(root: Path, labels_file: Path, at_least: int) -> PhotoFolder:
    named = read_labels(labels_file, root)
    labels, names = set(named.values()) - {""}, {folder.name for folder in _class_folders(root)}
    corrects = bool(labels & names) or (bool(names) and not labels)
    folders = _list_class_folders(root, 1) if corrects else {}
    label_of = {path: label for path, label in {**folders, **named}.items() if label}
    classes = sorted(set(label_of.values()))
    if len(classes) < at_least:
        left = f"holds only one class, {classes[0]!r}" if classes else "holds no photo that has a label"
        raise DatasetError(f"With {labels_file}, {root} {left}.")
    left_out = sum(not label for label in named.values())
    changed = sum(label not in ("", folders.get(path)) for path, label in named.items())
    note = f"{labels_file.name} labels {len(named) - left_out:,} photos and leaves {left_out:,} out" + (
        f"; {changed:,} labels differ from the folder's" if corrects else "; folders count for nothing"
    )
    return replace(_numbered(root, label_of), note=note + ".")


def _list_class_folders(root: Path, at_least: int) -> dict[str, str]:
    """Map the path of each photo in a class folder to the folder's name."""
    folders = _class_folders(root)
    if not folders:
        raise DatasetError(
            f"{root} holds no class folders: put the photos of each class into {root}/<class>/, "
            "or name a CSV file with --labels."
        )
    if len(folders) < at_least:
        raise DatasetError(
            f"{root} holds only one class, {folders[0].name!r}: add a second folder of photos to tell it from."
        )
    label_of = {}
    for folder in folders:
        if printable(folder.name) != folder.name:
            raise DatasetError(f"The name of the class folder {printable(str(folder))} is not UTF-8: rename it.")
        next(folder.iterdir(), None)  # an unreadable folder raises here; rglob would find it empty
        paths = [path.relative_to(root) for path in folder.rglob("*") if path.is_file()]
        visible = [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]
        if not visible:
            raise DatasetError(f"The class folder {folder} is empty: add photos to it or remove it.")
        label_of.update(dict.fromkeys(visible, folder.name))
    return label_of


def _class_folders(root: Path) -> list[Path]:
    return sorted((p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: p.name)


def _numbered(root: Path, label_of: Mapping[str, str]) -> PhotoFolder:
    """Give each class its number, by the sorted names, and order the files by class and path."""
    classes = sorted(set(label_of.values()))
    number = {name: index for index, name in enumerate(classes)}
    files = [PhotoFile(path, number[label]) for path, label in label_of.items()]
    return PhotoFolder(root, tuple(classes), tuple(sorted(files, key=lambda file: (file.label, Path(file.path)))))


def decode_photos(
    root: Path, paths: Sequence[str], preprocessing: Preprocessing, cache: Path, progress: Progress
) -> tuple[NDArray[np.uint8], list[Decoded]]:
    """Decode files once into `cache`; return a memory map uint8 `[files, size, size, 3]` and each file's outcome.

    Called again with unchanged files it only opens the cache; interrupted, it goes on where it was. The cache of
    other files or another preprocessing is replaced. Rows of quarantined files are zero.
    """
    key = _cache_key(root, paths, preprocessing)
    journal_file = cache / "journal.jsonl"
    try:
        pixels = _open_cache(cache, key, (len(paths), preprocessing.size, preprocessing.size, 3))
        outcomes = _read_journal(journal_file)
        with (
            ThreadPoolExecutor(available_cores()) as pool,
            journal_file.open("a") as journal,
            progress.task(f"Decoding to {preprocessing.size} px", len(paths) - len(outcomes)) as task,
        ):
            for start in range(len(outcomes), len(paths), _CHUNK):
                chunk = [root / path for path in paths[start : start + _CHUNK]]
                for row, (outcome, picture) in enumerate(pool.map(lambda p: _decode(p, preprocessing), chunk), start):
                    if picture is not None:
                        pixels[row] = picture
                    outcomes.append(outcome)
                    journal.write(json.dumps(asdict(outcome)) + "\n")
                journal.flush()
                task.advance(len(chunk))
    except OSError as exc:
        raise TrainingError(f"The cache {cache} cannot be written: {exc.strerror}.") from exc
    return pixels, outcomes


def data_fingerprint(labels: Sequence[int], classes: Sequence[str], decoded: Sequence[Decoded]) -> str:
    """Hash what was taught: every photo's class and content, whatever its name and place."""
    lines = sorted(f"{classes[label]}\0{item.sha256}" for label, item in zip(labels, decoded, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_fingerprint(train: Sequence[str], held_out: Sequence[str]) -> str:
    """Hash which photos, given by their SHA-256, are trained on and, in order, which are held out."""
    return hashlib.sha256("\n".join([*sorted(train), "", *held_out]).encode()).hexdigest()


def batched(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Cut `indices` into pieces of at most `size`."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _open_cache(cache: Path, key: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Open the cache's pixels if they are those of `key`, or else make room for them."""
    pixels_file, key_file = cache / "pixels.npy", cache / "key"
    if key_file.is_file() and key_file.read_text() == key and (cache / "journal.jsonl").is_file():
        whole = math.prod(shape)
        if pixels_file.is_file() and pixels_file.stat().st_size > whole:  # a file cut short would read as black
            return np.lib.format.open_memmap(pixels_file, mode="r+")
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    pixels = np.lib.format.open_memmap(pixels_file, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # on a full disk, an error now and not a bus error later
        with pixels_file.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, pixels_file.stat().st_size)
    (cache / "journal.jsonl").touch()
    key_file.write_text(key)  # last: a cache without its key is begun anew
    return pixels


def printable(path: str) -> str:
    """Replace what is not UTF-8 in a file's name, so that it can be printed and written."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _decode(path: Path, preprocessing: Preprocessing) -> tuple[Decoded, NDArray[np.uint8] | None]:
    try:
        data = read_photo(path)
        return Decoded(sha256=hashlib.sha256(data).hexdigest()), preprocessing.decode(data)
    except OSError as exc:
        return Decoded(error=f"The file cannot be read: {exc.strerror}."), None
    except PictureError as exc:
        return Decoded(error=str(exc)), None


def _cache_key(root: Path, paths: Sequence[str], preprocessing: Preprocessing) -> str:
    # Another Pillow may decode to other pixels.
    digest = hashlib.sha256(json.dumps([PIL.__version__, asdict(preprocessing)], sort_keys=True).encode())
    for path in paths:
        stat = (root / path).stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _read_journal(path: Path) -> list[Decoded]:
    """Read the outcomes so far; what follows a damaged line, cut short by a kill, is dropped and decoded again."""
    outcomes, whole = [], 0
    with path.open("rb+") as journal:
        for line in journal:
            if not line.endswith(b"\n"):
                break
            try:
                outcomes.append(Decoded(**json.loads(line)))
            except (TypeError, ValueError):
                break
            whole += len(line)
        journal.truncate(whole)
    return outcomes
