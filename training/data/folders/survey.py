"""A quick survey of a folder: how many photos, how large, and how long they take to decode."""

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo
from whisker.model.preprocessing import Preprocessing
from whisker.training.config import cache_size
from whisker.training.data.folders.folder import PhotoFolder

_SAMPLE_PHOTOS = 64
_TRANSFER_SIZES, _MAX_TRANSFER_SIZE = ((48, 128), (96, 160), (128, 192)), 224  # short sides of photos, and sizes
_MIN_SERVING_SIZE, _MAX_SERVING_SIZE = 64, 128  # pixels, of the sizes suggested


@dataclass(frozen=True, slots=True)
class Survey:
    """Measurements on a sample of a folder's files; `decode_seconds` are for one photo on one core."""

    photos: int
    short_side: float  # pixels, the median photo's
    decode_seconds: float

    @property
    def serving_size(self) -> int:
        """Suggest the network's input size in pixels.

        Small pictures are magnified to twice their size, because the network halves the resolution twice before its
        first stage.
        """
        return min(_MAX_SERVING_SIZE, max(_MIN_SERVING_SIZE, round(2 * self.short_side / 16) * 16))

    @property
    def transfer_size(self) -> int:
        """Suggest the input size in pixels of a network that was trained on ImageNet, a multiple of 32.

        Such networks look for details that small pictures show only when magnified; magnified further, pictures cost
        time and show nothing more (docs/adr/0018).
        """
        for largest_side, size in _TRANSFER_SIZES:
            if self.short_side <= largest_side:
                return size
        return _MAX_TRANSFER_SIZE


def survey_photos(folder: PhotoFolder) -> Survey:
    """Decode a few files, evenly spread over the folder; unreadable ones are skipped."""
    preprocessing = Preprocessing(size=cache_size(_MAX_SERVING_SIZE))
    picked = np.linspace(0, len(folder.files) - 1, min(_SAMPLE_PHOTOS, len(folder.files))).astype(int)
    sides, started = [], time.perf_counter()
    for index in picked:
        try:
            picture = preprocessing.read(read_photo(folder.root / folder.files[index].path))
        except (OSError, PictureError):
            continue
        sides.append(min(picture.width, picture.height))
    seconds = (time.perf_counter() - started) / len(picked)
    return Survey(len(folder.files), median(sides) if sides else _MAX_SERVING_SIZE, seconds)
