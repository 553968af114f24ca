"""A look at every photo of a folder: whether it opens, its size and format, and what other photos look the same."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.cores import available_cores
from whisker.model.errors import PictureError
from whisker.model.photo_files import list_files, printable, read_photo
from whisker.model.preprocessing import Preprocessing
from whisker.training.data.duplicates import group_duplicates
from whisker.training.data.folder import PhotoFolder
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_THUMBNAIL = Preprocessing(size=64)  # a JPEG decodes at a fraction of its size for it
_FLAT = 2.0  # a thumbnail whose colours all deviate less than this is of one colour
_CHUNK = 256  # photos between two moves of the progress bar


@dataclass(frozen=True, slots=True)
class Photo:
    """What a look at one file showed; with an `error`, only that. `label` is empty for a photo to compare with."""

    path: str
    label: str
    error: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """The photos of a folder, those to compare with, and the groups, by their positions, that look the same."""

    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    alike: tuple[tuple[Photo, ...], ...]

    @property
    def own(self) -> Iterator[Photo]:
        """Give the readable photos of the folder itself."""
        return (photo for photo in self.photos if photo.label and not photo.error)


def examine(folder: PhotoFolder, against: Sequence[Path], progress: Progress) -> Examination:
    """Decode every photo of `folder`, and all in the folders `against`, small; find those that look the same.

    Raises `DatasetError` for a folder `against` that is not there or shares photos with `folder`.
    """
    files = [(folder.root / file.path, file.path, folder.classes[file.label]) for file in folder.files]
    for other in against:
        files += [(path, str(path), "") for path in _list_others(other, folder.root)]
    photos: list[Photo] = []
    thumbnails = np.zeros((len(files), _THUMBNAIL.size, _THUMBNAIL.size, 3), np.uint8)
    with ThreadPoolExecutor(available_cores()) as pool, progress.task("Examining", len(files)) as task:
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            photos += pool.map(_look, *zip(*chunk, strict=True), thumbnails[start : start + _CHUNK])
            task.advance(len(chunk))
    progress.say(f"Looking for duplicates among {len(photos):,} photos.")
    return Examination(folder.classes, tuple(photos), _group_alike(photos, thumbnails))


def _list_others(other: Path, root: Path) -> list[Path]:
    if not other.is_dir():
        raise DatasetError(f"There is no folder {other} to compare with.")
    here, there = root.resolve(), other.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise DatasetError(f"The folder {other} and {root} hold the same files: compare with another folder.")
    return [other / path for path in list_files(other)]


def _look(file: Path, path: str, label: str, thumbnail: NDArray[np.uint8]) -> Photo:
    """Decode one file into `thumbnail`, uint8 `[64, 64, 3]`."""
    path = printable(path)
    try:
        data = read_photo(file)
        picture = _THUMBNAIL.read(data)
    except OSError as exc:
        return Photo(path, label, error=f"The file cannot be read: {exc.strerror}.")
    except PictureError as exc:
        return Photo(path, label, error=str(exc))
    thumbnail[:] = picture.pixels
    flat = bool(picture.pixels.std(axis=(0, 1)).max() < _FLAT)
    digest = hashlib.sha256(data).hexdigest()
    return Photo(path, label, "", digest, picture.width, picture.height, picture.format, flat)


def _group_alike(photos: Sequence[Photo], thumbnails: NDArray[np.uint8]) -> tuple[tuple[Photo, ...], ...]:
    """List the groups of two and more duplicates and near-duplicates; a photo of one colour says nothing of another."""
    rows = np.array([row for row, photo in enumerate(photos) if not photo.error and not photo.flat], dtype=np.int64)
    if not len(rows):
        return ()
    groups: dict[int, list[Photo]] = {}
    for row, group in zip(rows, group_duplicates(thumbnails, rows, [photos[row].sha256 for row in rows]), strict=True):
        groups.setdefault(int(group), []).append(photos[row])
    return tuple(tuple(members) for members in groups.values() if len(members) > 1)
