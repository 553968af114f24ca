"""Examine every photo of a folder: whether it opens, its size and format, and which photos look the same."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisker.model.cores import available_cores
from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo
from whisker.model.plain_text import printable
from whisker.model.preprocessing import Preprocessing
from whisker.training.data.duplicates import FLAT_DEVIATION, group_duplicates
from whisker.training.data.folders.folder import PhotoFolder
from whisker.training.data.folders.walk import list_files
from whisker.training.data.unreadable import why_unreadable
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_THUMBNAIL = Preprocessing(size=64)  # small: a JPEG is decoded at a fraction of its size
_PHOTOS_PER_ADVANCE = 256  # of the progress bar


@dataclass(frozen=True, slots=True)
class ExaminedPhoto:
    """The findings on one file; after an `error` there are no others.

    `label` is empty for a photo to compare with, and `group` for one that is in no group that the user names. `side` is
    the side of the folder that it lies in, if the folder has sides.
    """

    path: str
    label: str
    group: str = ""
    side: str = ""
    error: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """The photos of a folder and those to compare with, and the groups among them that look the same."""

    classes: tuple[str, ...]
    photos: tuple[ExaminedPhoto, ...]
    look_alikes: tuple[tuple[ExaminedPhoto, ...], ...]

    @property
    def own(self) -> Iterator[ExaminedPhoto]:
        """Iterate over the readable photos of the folder itself."""
        return (photo for photo in self.photos if photo.label and not photo.error)


def examine(folder: PhotoFolder, against: Sequence[Path], progress: Progress) -> Examination:
    """Decode thumbnails of all photos in `folder` and in the folders `against`; find those that look the same.

    Raises `DatasetError` for a folder in `against` that does not exist, overlaps with `folder` or cannot be read.
    """
    files = [
        (
            folder.root / file.path,
            ExaminedPhoto(printable(file.path), folder.classes[file.label], printable(file.group), file.side or ""),
        )
        for file in folder.files
    ]
    for other in against:
        files += [(path, ExaminedPhoto(printable(str(path)), "")) for path in _list_others(other, folder.root)]
    photos: list[ExaminedPhoto] = []
    thumbnails = np.zeros((len(files), _THUMBNAIL.size, _THUMBNAIL.size, 3), np.uint8)
    with ThreadPoolExecutor(available_cores()) as pool, progress.task("Examining", len(files)) as task:
        for start in range(0, len(files), _PHOTOS_PER_ADVANCE):
            part = slice(start, start + _PHOTOS_PER_ADVANCE)
            photos += pool.map(_examine_file, *zip(*files[part], strict=True), thumbnails[part])
            task.advance(len(files[part]))
    progress.say(f"Looking for duplicates among {len(photos):,} photos.")
    return Examination(folder.classes, tuple(photos), _group_look_alikes(photos, thumbnails))


def _list_others(other: Path, root: Path) -> list[Path]:
    if not other.is_dir():
        raise DatasetError(f"There is no folder {other} to compare with.")
    here, there = root.resolve(), other.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise DatasetError(f"The folder {other} and {root} hold the same files: compare with another folder.")
    return [other / path for path in list_files(other)]


def _examine_file(file: Path, photo: ExaminedPhoto, thumbnail: NDArray[np.uint8]) -> ExaminedPhoto:
    """Decode one file into `thumbnail`, uint8 `[64, 64, 3]`, and add the findings to its `photo`."""
    try:
        data = read_photo(file)
        picture = _THUMBNAIL.read(data)
    except (OSError, PictureError) as exc:
        return replace(photo, error=why_unreadable(file, exc))
    thumbnail[:] = picture.pixels
    return replace(
        photo,
        sha256=hashlib.sha256(data).hexdigest(),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        flat=bool(picture.pixels.std(axis=(0, 1)).max() < FLAT_DEVIATION),
    )


def _group_look_alikes(
    photos: Sequence[ExaminedPhoto], thumbnails: NDArray[np.uint8]
) -> tuple[tuple[ExaminedPhoto, ...], ...]:
    """List the groups of two or more duplicates and near-duplicates, without photos of one plain colour."""
    rows = np.array([row for row, photo in enumerate(photos) if not photo.error and not photo.flat], dtype=np.int64)
    if not len(rows):
        return ()
    groups: dict[int, list[ExaminedPhoto]] = {}
    for row, group in zip(rows, group_duplicates(thumbnails, rows, [photos[row].sha256 for row in rows]), strict=True):
        groups.setdefault(int(group), []).append(photos[row])
    return tuple(tuple(members) for members in groups.values() if len(members) > 1)
