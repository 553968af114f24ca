"""Decoded photos in one memory-mapped file, which survives interruptions.

`decode_photos` decodes each file once with `whisker.model.preprocessing`. A file that does not decode is quarantined:
listed and reported, never touched.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from whisker.model.cores import available_cores
from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo
from whisker.model.preprocessing import DECODING_VERSION, Preprocessing
from whisker.training.data.unreadable import why_unreadable
from whisker.training.errors import TrainingError
from whisker.training.progress import Progress

_FLUSH_PHOTOS = 256  # decoded between two flushes of the journal: a kill loses at most these


@dataclass(frozen=True, slots=True)
class Decoded:
    """The result for one file: the SHA-256 of its bytes, or the reason why it is quarantined."""

    sha256: str = ""
    error: str = ""


def decode_photos(
    root: Path,
    paths: Sequence[str],
    preprocessing: Preprocessing,
    cache: Path,
    progress: Progress,
    *,
    what: str = "photos as they are served",
) -> tuple[NDArray[np.uint8], list[Decoded]]:
    """Decode files once into `cache`; return a memory map uint8 `[files, size, size, 3]` and each file's result.

    Called again with unchanged files, it only opens the cache; after an interruption, it continues where it stopped.
    A cache of other files or another preprocessing is replaced. Rows of quarantined files are zero.

    Raises `TrainingError` if the cache cannot be written.
    """
    key = _cache_key(root, paths, preprocessing)
    journal_file = cache / "journal.jsonl"
    try:
        pixels = _open_cache(cache, key, (len(paths), preprocessing.size, preprocessing.size, 3))
        results = _read_journal(journal_file)
        with (
            ThreadPoolExecutor(available_cores()) as pool,
            journal_file.open("a") as journal,
            progress.task(f"Decoding {what} ({preprocessing.size} px)", len(paths) - len(results)) as task,
        ):
            for start in range(len(results), len(paths), _FLUSH_PHOTOS):
                files = [root / path for path in paths[start : start + _FLUSH_PHOTOS]]
                for row, (result, picture) in enumerate(pool.map(lambda p: _decode(p, preprocessing), files), start):
                    if picture is not None:
                        pixels[row] = picture
                    results.append(result)
                    journal.write(json.dumps(asdict(result)) + "\n")
                journal.flush()
                task.advance(len(files))
    except OSError as exc:
        raise TrainingError(f"The cache {cache} cannot be written: {exc.strerror}.") from exc
    return pixels, results


def reserve(file: Path) -> None:
    """Take the space of a new memory map: a full disk is an `OSError` now, not a bus error later."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _open_cache(cache: Path, key: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Open the cached pixels if their key is `key`; otherwise start a new cache."""
    pixels_file, key_file = cache / "pixels.npy", cache / "key"
    if key_file.is_file() and key_file.read_text() == key and (cache / "journal.jsonl").is_file():
        whole = math.prod(shape)
        if pixels_file.is_file() and pixels_file.stat().st_size > whole:  # a truncated file would read as black
            return np.lib.format.open_memmap(pixels_file, mode="r+")
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    pixels = np.lib.format.open_memmap(pixels_file, mode="w+", dtype=np.uint8, shape=shape)
    reserve(pixels_file)
    (cache / "journal.jsonl").touch()
    key_file.write_text(key)  # last: a cache without a key is started anew
    return pixels


def _decode(path: Path, preprocessing: Preprocessing) -> tuple[Decoded, NDArray[np.uint8] | None]:
    try:
        data = read_photo(path)
        return Decoded(sha256=hashlib.sha256(data).hexdigest()), preprocessing.decode(data)
    except (OSError, PictureError) as exc:
        return Decoded(error=why_unreadable(path, exc)), None


def _cache_key(root: Path, paths: Sequence[str], preprocessing: Preprocessing) -> str:
    # Another decoder, or another version of ours, may decode to other pixels.
    versions = [PIL.__version__, version("simplejpeg"), find_spec("cykooz_resizer") is not None, DECODING_VERSION]
    digest = hashlib.sha256(json.dumps([*versions, preprocessing.to_json()], sort_keys=True).encode())
    for path in paths:
        digest.update(f"{path}\0{_stamp(root / path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    """Describe a file by its size and time of change; a link to nothing, or to itself, has neither."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size}\0{stat.st_mtime_ns}"


def _read_journal(path: Path) -> list[Decoded]:
    """Read the results so far; from a damaged line on (a kill truncates one), they are dropped and decoded again."""
    results, whole = [], 0
    with path.open("rb+") as journal:
        for line in journal:
            if not line.endswith(b"\n"):
                break
            try:
                results.append(Decoded(**json.loads(line)))
            except (TypeError, ValueError):
                break
            whole += len(line)
        journal.truncate(whole)
    return results
