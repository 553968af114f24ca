"""The photos of a comparison: each read once, and decoded for both checkpoints."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from whisker.model.cores import available_cores
from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo
from whisker.model.plain_text import printable
from whisker.model.preprocessing import Preprocessing
from whisker.training.amount import amount
from whisker.training.data.dataset import Quarantined
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.folders.folder import PhotoFile, PhotoFolder
from whisker.training.data.unreadable import why_unreadable
from whisker.training.progress import Progress

BATCH = 32
_THUMBNAIL_SIDE = 64  # pixels, to find photos that look the same


@dataclass(frozen=True, slots=True)
class PairedPhoto:
    """A readable photo: its file, the SHA-256 of its bytes, and its pixels as each of both checkpoints sees them."""

    file: PhotoFile
    sha256: str
    pixels: tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_batches(
    folder: PhotoFolder, preprocessings: tuple[Preprocessing, Preprocessing], progress: Progress
) -> Iterator[list[PairedPhoto | Quarantined]]:
    """Read and decode the photos of `folder`, batch after batch, with progress."""

    def read(file: PhotoFile) -> PairedPhoto | Quarantined:
        return _read(folder.root / file.path, file, preprocessings)

    with ThreadPoolExecutor(available_cores()) as pool, progress.task("Comparing", len(folder.files)) as task:
        for start in range(0, len(folder.files), BATCH):
            files = folder.files[start : start + BATCH]
            yield [*pool.map(read, files)]
            task.advance(len(files))


def _read(
    path: Path, file: PhotoFile, preprocessings: tuple[Preprocessing, Preprocessing]
) -> PairedPhoto | Quarantined:
    first, second = preprocessings
    try:
        data = read_photo(path)
        pixels = first.decode(data)
        other = pixels if first == second else second.decode(data)
    except (OSError, PictureError) as exc:
        return Quarantined(printable(file.path), why_unreadable(path, exc))
    return PairedPhoto(file, hashlib.sha256(data).hexdigest(), (pixels, other))


def thumbnails(photos: Sequence[PairedPhoto]) -> NDArray[np.uint8]:
    """Shrink photos to uint8 `[N, 64, 64, 3]`."""
    pixels = torch.from_numpy(np.stack([photo.pixels[0] for photo in photos])).permute(0, 3, 1, 2)
    small = functional.interpolate(pixels, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), mode="bilinear", antialias=True)
    shrunk: NDArray[np.uint8] = small.permute(0, 2, 3, 1).numpy()
    return shrunk


@dataclass(frozen=True, slots=True)
class Copies:
    """The rows to compare, one of each photo, and what was noticed: rows left out, and look-alikes among the others."""

    kept: NDArray[np.int64]
    equal: int
    conflicting: tuple[str, ...]
    similar: int

    def describe(self) -> Iterator[str]:
        """Say it, a sentence each."""
        if self.equal:
            yield f"{amount(self.equal, 'file is an equal copy', 'files are equal copies')} of others: left out."
        if self.conflicting:
            yield printable(
                f"Left out, as the same file has several labels: {len(self.conflicting):,} files, "
                f"{self.conflicting[0]} first."
            )
        if self.similar:
            yield (
                f"{amount(self.similar, 'photo looks', 'photos look')} like another one. Such photos count each, so "
                "that the intervals are too narrow; `whisker doctor` lists them."
            )


def find_copies(files: Sequence[PhotoFile], digests: Sequence[str], small: NDArray[np.uint8]) -> Copies:
    """Find equal files, which count once or, with several labels, not at all, and photos that look the same."""
    rows: dict[str, list[int]] = {}
    for row, digest in enumerate(digests):
        rows.setdefault(digest, []).append(row)
    agreeing, conflicting = list[list[int]](), list[str]()
    for own in rows.values():
        if len({files[row].labels for row in own}) == 1:
            agreeing.append(own)
        else:
            conflicting += [files[row].path for row in own]
    kept = np.array([own[0] for own in agreeing], np.int64)
    groups = group_duplicates(small, kept, [digests[row] for row in kept]) if len(kept) else kept
    return Copies(
        kept,
        equal=sum(len(own) - 1 for own in agreeing),
        conflicting=tuple(conflicting),
        similar=len(kept) - len(np.unique(groups)),
    )
