"""Many photos at once: threads decode ahead, and the calling thread, which owns the classifier, answers in batches."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from app.photos import Photo
from model.classifier import Classifier, Prediction
from model.errors import InferenceError, PictureError
from model.photo import read_photo
from model.preprocessing import Preprocessing

_BATCH = 32  # pictures; the engine takes no more at once
_MOST = 256  # photos in a batch, counting those that cannot be used: a folder of them must show progress, too
_CHUNK = 8  # photos a thread decodes at a time: handing over one costs as much as a tenth of decoding it


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo has no prediction: a stable code, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one photo."""

    photo: Photo
    outcome: Prediction | Failure


_Decoded = tuple[Photo, NDArray[np.uint8] | Failure]


def classify(
    classifier: Classifier, photos: Iterable[Photo], *, max_pixels: int, threads: int
) -> Iterator[list[Result]]:
    """Yield the results for `photos`, in their order, a batch at a time.

    Photos are taken, and decoded in `threads`, only a little ahead of what has been yielded.
    """
    for batch in _batches(_decode_ahead(classifier.preprocessing, photos, max_pixels, threads)):
        outcomes = iter(_predict(classifier, [found for _, found in batch if not isinstance(found, Failure)]))
        yield [Result(photo, found if isinstance(found, Failure) else next(outcomes)) for photo, found in batch]


def _decode_ahead(
    preprocessing: Preprocessing, photos: Iterable[Photo], max_pixels: int, threads: int
) -> Iterator[_Decoded]:
    """Decode in order; chunks for two batches, and two for each thread, are under way."""
    source = iter(photos)
    chunks = iter(lambda: list(islice(source, _CHUNK)), [])
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        ahead = deque(
            pool.submit(_decode, preprocessing, chunk, max_pixels)
            for chunk in islice(chunks, 2 * _BATCH // _CHUNK + 2 * threads)
        )
        while ahead:
            decoded = ahead.popleft().result()
            ahead.extend(pool.submit(_decode, preprocessing, chunk, max_pixels) for chunk in islice(chunks, 1))
            yield from decoded
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(preprocessing: Preprocessing, photos: Sequence[Photo], max_pixels: int) -> list[_Decoded]:
    return [(photo, _decode_one(preprocessing, photo, max_pixels)) for photo in photos]


def _decode_one(preprocessing: Preprocessing, photo: Photo, max_pixels: int) -> NDArray[np.uint8] | Failure:
    try:
        return preprocessing.decode(read_photo(photo.path), max_pixels=max_pixels)
    except OSError as exc:
        return Failure("unreadable_file", f"The file cannot be read: {exc.strerror}.")
    except PictureError as exc:
        return _failure(exc)


def _batches(decoded: Iterable[_Decoded]) -> Iterator[list[_Decoded]]:
    """Gather whole batches of pictures, whatever lies between them."""
    batch: list[_Decoded] = []
    pictures = 0
    for item in decoded:
        batch.append(item)
        pictures += not isinstance(item[1], Failure)
        if pictures == _BATCH or len(batch) == _MOST:
            yield batch
            batch, pictures = [], 0
    if batch:
        yield batch


def _predict(classifier: Classifier, pixels: Sequence[NDArray[np.uint8]]) -> list[Prediction | Failure]:
    """Answer for a batch; if that fails, for each picture alone, so that none fails for its neighbour."""
    try:
        return [*classifier.predict_pixels(pixels)]
    except InferenceError:
        if len(pixels) > 1:
            return [outcome for picture in pixels for outcome in _predict(classifier, [picture])]
        from app.errors import InferenceFailedError  # noqa: PLC0415 - with its code, below

        return [_failure(InferenceFailedError("The network could not answer for this picture."))]


def _failure(exc: Exception) -> Failure:
    from app.problems import kind_of  # noqa: PLC0415 - FastAPI takes a second to import, and most photos need no code

    return Failure(kind_of(exc).code, str(exc))
