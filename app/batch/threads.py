"""Many photos at once in one process: threads decode ahead and the calling thread predicts. Needs no PyTorch.

The calling thread owns the predictor.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

from whisker.app.batch.photos import Photo
from whisker.app.batch.processes import BATCH, Decoded, answer, decode
from whisker.app.batch.results import Failure, Result
from whisker.app.settings import Settings
from whisker.model.cores import available_cores
from whisker.model.predictor import Predictor

_MAX_BATCH_PHOTOS = 256  # including photos that cannot be used: a folder full of them must show progress, too
_PHOTOS_A_TASK = 8  # that a thread decodes at a time: handing over one costs a tenth of decoding it


def classify(predictor: Predictor, photos: Iterable[Photo], settings: Settings) -> Iterator[list[Result]]:
    """Yield the results for `photos`, in their order, a batch at a time.

    Photos are read only a little ahead of the results.
    """
    threads = settings.inference_workers or available_cores()
    decode_one = partial(decode, predictor.preprocessing, settings.max_pixels)
    for batch in _batches(_decode_ahead(decode_one, photos, threads)):
        yield answer(predictor, batch)


def _decode_ahead(decode_one: "partial[Decoded]", photos: Iterable[Photo], threads: int) -> Iterator[Decoded]:
    """Decode in order; two batches, and two tasks for each thread, are in flight."""
    source = iter(photos)
    chunks = iter(lambda: list(islice(source, _PHOTOS_A_TASK)), [])
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        ahead: deque[Future[list[Decoded]]] = deque()
        for chunk in chunks:
            ahead.append(pool.submit(lambda photos: [*map(decode_one, photos)], chunk))
            if len(ahead) == 2 * BATCH // _PHOTOS_A_TASK + 2 * threads:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(decoded: Iterable[Decoded]) -> Iterator[list[Decoded]]:
    """Gather full batches of usable pictures."""
    batch: list[Decoded] = []
    pictures = 0
    for item in decoded:
        batch.append(item)
        pictures += not isinstance(item[1], Failure)
        if pictures == BATCH or len(batch) == _MAX_BATCH_PHOTOS:
            yield batch
            batch, pictures = [], 0
    if batch:
        yield batch
