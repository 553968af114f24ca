"""From a folder of photos to pixels in one memory-mapped file.

`find_photos` lists `root/<class>/**`, `decode_photos` decodes each file once with `model.preprocessing` into a cache
that survives an interruption. A file that does not decode is quarantined: listed and reported, never touched.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from model.engine import available_cores
from model.errors import PictureError, PictureTooLargeError
from model.preprocessing import Preprocessing
from training.errors import DatasetError, TrainingError
from training.progress import Progress

MAX_FILE_BYTES = 500_000_000  # above any photo that the pixel limit admits
_CHUNK = 256  # photos decoded between two entries in the cache's journal


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file in a class folder; `path` is relative to the root, `label` an index into the sorted classes."""

    path: str
    label: int


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """What `find_photos` found; `classes` are the sorted names of the class folders."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[PhotoFile, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One file's outcome: the SHA-256 of its bytes, or why it was quarantined."""

    sha256: str = ""
    error: str = ""


def find_photos(root: Path, *, at_least: int = 2) -> PhotoFolder:
    """List the photos in `root/<class>/`, at any depth, hidden files left out.

    Raises `DatasetError` unless there are `at_least` so many class folders and every one holds a file.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}: give a folder that holds one sub-folder of photos a class.")
    try:
        return _find_photos(root, at_least)
    except OSError as exc:
        raise DatasetError(f"The folder {exc.filename or root} cannot be read: {exc.strerror}.") from exc


def _find_photos(root: Path, at_least: int) -> PhotoFolder:
    folders = sorted((p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: p.name)
    if not folders:
        raise DatasetError(f"{root} holds no class folders: put the photos of each class into {root}/<class>/.")
    if len(folders) < at_least:
        raise DatasetError(
            f"{root} holds only one class, {folders[0].name!r}: add a second folder of photos to tell it from."
        )
    files = []
    for label, folder in enumerate(folders):
        if printable(folder.name) != folder.name:
            raise DatasetError(f"The name of the class folder {printable(str(folder))} is not UTF-8: rename it.")
        next(folder.iterdir(), None)  # an unreadable folder raises here; rglob would find it empty
        paths = sorted(path.relative_to(root) for path in folder.rglob("*") if path.is_file())
        visible = [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]
        if not visible:
            raise DatasetError(f"The class folder {folder} is empty: add photos to it or remove it.")
        files += [PhotoFile(path, label) for path in visible]
    return PhotoFolder(root, tuple(folder.name for folder in folders), tuple(files))


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


def read_photo(path: Path) -> bytes:
    """Read a file; raise `PictureTooLargeError` for one so large that it is no photo, and `OSError`."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise PictureTooLargeError(f"The file has more than {MAX_FILE_BYTES:,} bytes.")
    return path.read_bytes()


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
