"""From photo files to results. Needs no PyTorch: processes that do without it use this, too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import InferenceFailedError
from app.photos import Photo
from app.results import Failure, Result
from model.answers import Prediction
from model.errors import InferenceError, PictureError
from model.photo import read_photo
from model.predictor import Predictor
from model.preprocessing import Preprocessing

BATCH = 32  # pictures; the engine takes no more at once

Decoded = tuple[Photo, NDArray[np.uint8] | Failure]


def decode(preprocessing: Preprocessing, max_pixels: int, photo: Photo) -> Decoded:
    """Read a photo's file into pixels, or say why that cannot be done."""
    try:
        return photo, preprocessing.decode(read_photo(photo.path), max_pixels=max_pixels)
    except (OSError, PictureError) as exc:
        return photo, failure_of(exc)


def answer(predictor: Predictor, decoded: Sequence[Decoded]) -> list[Result]:
    """Classify the photos that were decoded; give the results of all, in their order."""
    outcomes = iter(predictor.predict_each([found for _, found in decoded if not isinstance(found, Failure)]))
    return [
        Result(photo, found if isinstance(found, Failure) else _prediction_or_failure(next(outcomes)))
        for photo, found in decoded
    ]


def _prediction_or_failure(outcome: Prediction | Exception) -> Prediction | Failure:
    if isinstance(outcome, InferenceError):
        return failure_of(InferenceFailedError("The network could not answer for this picture."))
    if isinstance(outcome, Exception):
        raise outcome  # not the picture's doing
    return outcome


def failure_of(exc: Exception) -> Failure:
    """Say why a photo has no prediction."""
    if isinstance(exc, OSError):
        return Failure("unreadable_file", f"The file cannot be read: {exc.strerror}.")
    from app.problems import kind_of  # noqa: PLC0415 - FastAPI is slow to import, and most photos need no code

    return Failure(kind_of(exc).code, str(exc))
