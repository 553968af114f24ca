"""The photos of a comparison: so many of each class to learn from, drawn at random; the others are the unseen ones."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from whisker.model.errors import ConfigError
from whisker.training.data.folders.folder import PhotoFile, PhotoFolder, find_photos


@dataclass(frozen=True, slots=True)
class Photo:
    """A file, and the number of its class."""

    path: Path
    label: int

    def open(self) -> Image.Image:
        """Decode the photo to RGB, upright."""
        with Image.open(self.path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")


@dataclass(frozen=True, slots=True)
class Task:
    """Photos to learn from, and unseen ones to test with."""

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    test: tuple[Photo, ...]


def draw(root: Path, photos: int, seed: int, classes: Sequence[str] = ()) -> Task:
    """Draw so many photos of each class, or of each of some `classes`; equal seeds draw equal photos.

    Raises `ConfigError` if a class is not there, or no photo of it would be left to test with.
    """
    folder = find_photos(root)
    names = tuple(sorted(classes)) or folder.classes
    if missing := sorted(set(names) - set(folder.classes)):
        raise ConfigError(f"{root} has no class {', '.join(missing)}: its classes are {', '.join(folder.classes)}.")
    train: list[Photo] = []
    test: list[Photo] = []
    for label, name in enumerate(names):
        files = _files_of(folder, name)
        if len(files) <= photos:
            raise ConfigError(f"{name} has {len(files)} photos, so none is left to test with: give fewer --photos.")
        order = np.random.default_rng((seed, label)).permutation(len(files))
        drawn = [Photo(root / files[index].path, label) for index in order]
        train += drawn[:photos]
        test += drawn[photos:]
    return Task(names, tuple(train), tuple(test))


def _files_of(folder: PhotoFolder, name: str) -> list[PhotoFile]:
    label = folder.classes.index(name)
    return [file for file in folder.files if file.label == label]


def copy_photos(photos: Sequence[Photo], classes: Sequence[str], root: Path) -> Path:
    """Copy photos to `root/<class>/`, as `whisker train` and `whisker evaluate` want them."""
    for number, photo in enumerate(photos):
        folder = root / classes[photo.label]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo.path, folder / f"{number:05}{photo.path.suffix}")
    return root
