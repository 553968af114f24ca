"""Many photos at once: processes decode and predict, or threads decode ahead and the calling thread predicts.

The calling thread owns the classifier.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice

import torch

from whisker.app.batch.photos import Photo
from whisker.app.batch.processes import BATCH, Decoded, ProcessConfig, answer, classify_in_processes, decode
from whisker.app.batch.results import Failure, Lines, Result, ResultsFile
from whisker.app.settings import Settings
from whisker.model.classifier import Classifier
from whisker.model.cores import available_cores

_MAX_BATCH_PHOTOS = 256  # including photos that cannot be used: a folder full of them must show progress, too
_PHOTOS_A_TASK = 8  # that a thread decodes at a time: handing over one costs a tenth of decoding it
MIN_PHOTOS_FOR_PROCESSES = 512  # half a second in threads, which is about what starting processes takes


def load_classifier(settings: Settings) -> Classifier:
    """Load the checkpoint in the calling thread, which must also be the one that calls `classify`."""
    torch.set_num_threads(settings.threads or available_cores())
    return Classifier.load(
        settings.checkpoint, device=settings.device, engine=settings.engine, signed_by=settings.signed_by
    )


def classify_to_lines(
    classifier: Classifier, photos: Iterable[Photo], settings: Settings, results: ResultsFile
) -> Generator[Lines]:
    """Yield the results as lines; use processes if photos and cores are enough, and the engine can be exported."""
    source = iter(photos)
    first = list(islice(source, MIN_PHOTOS_FOR_PROCESSES))
    photos = chain(first, source)
    processes = settings.inference_workers or available_cores()
    exported = classifier.exported() if len(first) == MIN_PHOTOS_FOR_PROCESSES and processes > 1 else None
    if exported is None:
        yield from map(results.lines, classify(classifier, photos, settings))
    else:
        yield from classify_in_processes(ProcessConfig(exported, results, settings.max_pixels), photos, processes)


def classify(classifier: Classifier, photos: Iterable[Photo], settings: Settings) -> Iterator[list[Result]]:
    """Yield the results for `photos`, in their order, a batch at a time.

    Photos are read only a little ahead of the results.
    """
    threads = settings.inference_workers or available_cores()
    decode_one = partial(decode, classifier.preprocessing, settings.max_pixels)
    for batch in _batches(_decode_ahead(decode_one, photos, threads)):
        yield answer(classifier, batch)


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
