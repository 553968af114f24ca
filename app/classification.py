"""Many photos at once: threads decode ahead, and the calling thread, which owns the classifier, answers in batches."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import InferenceFailedError
from app.photos import Photo
from app.results import Failure, Result
from app.settings import Settings
from model.answers import Prediction
from model.classifier import Classifier
from model.cores import available_cores
from model.errors import InferenceError, PictureError
from model.photo import read_photo
from model.preprocessing import Preprocessing

_BATCH = 32  # pictures; the engine takes no more at once
_MOST = 256  # photos in a batch, counting those that cannot be used: a folder of them must show progress, too
_CHUNK = 8  # photos a thread decodes at a time: handing over one costs as much as a tenth of decoding it


_Decoded = tuple[Photo, NDArray[np.uint8] | Failure]


def load_classifier(settings: Settings) -> Classifier:
    """Load the checkpoint into the calling thread, which is the one that shall call `classify`."""
    torch.set_num_threads(settings.threads or available_cores())
    return Classifier.load(settings.checkpoint, device=settings.device, engine=settings.engine)


def classify(classifier: Classifier, photos: Iterable[Photo], settings: Settings) -> Iterator[list[Result]]:
    """Yield the results for `photos`, in their order, a batch at a time.

    Photos are taken, and decoded, only a little ahead of what has been yielded.
    """
    threads = settings.lanes or available_cores()
    decode = partial(_decode, classifier.preprocessing, settings.max_pixels)
    for batch in _batches(_decode_ahead(decode, photos, threads)):
        outcomes = iter(_predict(classifier, [found for _, found in batch if not isinstance(found, Failure)]))
        yield [Result(photo, found if isinstance(found, Failure) else next(outcomes)) for photo, found in batch]


def _decode_ahead(decode: Callable[[Photo], _Decoded], photos: Iterable[Photo], threads: int) -> Iterator[_Decoded]:
    """Decode in order; chunks for two batches, and two for each thread, are under way."""
    source = iter(photos)
    chunks = iter(lambda: list(islice(source, _CHUNK)), [])
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        ahead: deque[Future[list[_Decoded]]] = deque()
        for chunk in chunks:
            ahead.append(pool.submit(lambda photos: [*map(decode, photos)], chunk))
            if len(ahead) == 2 * _BATCH // _CHUNK + 2 * threads:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(preprocessing: Preprocessing, max_pixels: int, photo: Photo) -> _Decoded:
    try:
        return photo, preprocessing.decode(read_photo(photo.path), max_pixels=max_pixels)
    except OSError as exc:
        return photo, Failure("unreadable_file", f"The file cannot be read: {exc.strerror}.")
    except PictureError as exc:
        return photo, _failure(exc)


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
    return [_prediction_or_failure(outcome) for outcome in classifier.predict_each(pixels)]


def _prediction_or_failure(outcome: Prediction | Exception) -> Prediction | Failure:
    if isinstance(outcome, InferenceError):
        return _failure(InferenceFailedError("The network could not answer for this picture."))
    if isinstance(outcome, Exception):
        raise outcome  # not the picture's doing
    return outcome


def _failure(exc: Exception) -> Failure:
    from app.problems import kind_of  # noqa: PLC0415 - FastAPI is slow to import, and most photos need no code

    return Failure(kind_of(exc).code, str(exc))
