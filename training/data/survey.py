"""A first look at a folder of photos: how many, how large, and how long they take to decode."""

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo
from whisker.model.preprocessing import Preprocessing
from whisker.training.config import cache_size
from whisker.training.data.folder import PhotoFolder

_SAMPLE = 64
_LARGEST, _SMALLEST = 128, 64  # pixels that a network serves by default


@dataclass(frozen=True, slots=True)
class Survey:
    """What a sample of a folder's files shows; `decode_seconds` are for one photo on one core."""

    photos: int
    short_side: float  # pixels, the median photo's
    decode_seconds: float

    @property
    def serving_size(self) -> int:
        """Suggest the side in pixels that a network should see.

        It halves the resolution twice before its first stage, so that small pictures are magnified to twice their size.
        """
        return min(_LARGEST, max(_SMALLEST, round(2 * self.short_side / 16) * 16))


def survey_photos(folder: PhotoFolder) -> Survey:
    """Decode a few files, evenly spread over the folder; those that cannot be read are passed over."""
    preprocessing = Preprocessing(size=cache_size(_LARGEST))
    picked = np.linspace(0, len(folder.files) - 1, min(_SAMPLE, len(folder.files))).astype(int)
    sides, started = [], time.perf_counter()
    for index in picked:
        try:
            picture = preprocessing.read(read_photo(folder.root / folder.files[index].path))
        except (OSError, PictureError):
            continue
        sides.append(min(picture.width, picture.height))
    seconds = (time.perf_counter() - started) / len(picked)
    return Survey(len(folder.files), median(sides) if sides else _LARGEST, seconds)
