"""Many photos at once in one process per core: threads of one process wait for Python's lock. Needs no PyTorch."""

import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from whisker.app.batch.photos import Photo
from whisker.app.batch.results import Failure, Lines, Result, ResultsFile
from whisker.app.errors import InferenceFailedError, ResultsError
from whisker.model.answers.decision_rule import Prediction
from whisker.model.errors import InferenceError, PictureError, PreparedError, WhiskerError
from whisker.model.photo_files import read_photo
from whisker.model.predictor import Predictor
from whisker.model.prepared.contents import map_content, open_prepared
from whisker.model.preprocessing import Preprocessing

BATCH = 32  # pictures; the engine takes no more at once
THREADS = 1  # of each process
_BATCHES_A_PROCESS = 3  # in flight: one in work, the others so that the process need not wait

Decoded = tuple[Photo, NDArray[np.uint8] | Failure]


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """The classifier that processes predict with, as a file of it or its bytes, and the format of their results."""

    prepared: Path | bytes
    results: ResultsFile
    max_pixels: int


def classify_in_processes(config: ProcessConfig, photos: Iterable[Photo], processes: int) -> Generator[Lines]:
    """Yield the results for `photos`, in order, a batch at a time; photos are read a little ahead of the results.

    Raises `PreparedError` if they cannot open the classifier, before any photo is read, and `ResultsError` if a process
    ends in the middle.
    """
    source = iter(photos)
    ahead: deque[Future[Lines]] = deque()
    # Through a file: the executor's pipe would block for ever if a process ended before it has read it all.
    with _file(pickle.dumps(config)) as file, _pool(processes) as pool:
        _begin_all(pool, file, processes)
        try:
            while batch := list(islice(source, BATCH)):
                ahead.append(pool.submit(classify_batch, file, batch))
                if len(ahead) == _BATCHES_A_PROCESS * processes:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as exc:
            raise ResultsError(
                "A process that decoded photos has ended, for want of memory or because a photo crashed it: the same "
                "command, without --overwrite, resumes from here."
            ) from exc
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_all(pool: ProcessPoolExecutor, file: Path, processes: int) -> None:
    """Let the processes open the classifier."""
    try:
        for opened in [pool.submit(_verify, file) for _ in range(processes)]:
            opened.result()
    except (WhiskerError, OSError, BrokenProcessPool) as exc:
        raise PreparedError(f"The processes that classify photos could not begin: {exc}") from exc


def _verify(file: Path) -> None:
    _open_once(file)


def _pool(processes: int) -> ProcessPoolExecutor:
    context = get_context("spawn")  # OpenVINO's threads do not survive a fork
    try:
        return ProcessPoolExecutor(processes, context, _begin)
    except OSError as exc:
        raise ResultsError(
            f"Processes need locks in /dev/shm, and none can be made ({exc.strerror}): let this user write to that "
            "folder, or set WHISKER_INFERENCE_WORKERS=1."
        ) from exc


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """Make a file for the processes of this run: in memory on Linux, as there may be no folder for it."""
    if sys.platform != "linux":
        with TemporaryDirectory(prefix="whisker-") as folder:
            path = Path(folder) / "config"
            path.write_bytes(content)
            yield path
        return
    with os.fdopen(os.memfd_create("whisker-config"), "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    Thread(target=_end_with_parent, name="supervised", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def classify_batch(file: Path, photos: list[Photo]) -> Lines:
    """Classify photos in a process of the pool; `file` has the pickled `ProcessConfig`."""
    config, predictor = _open_once(file)
    decoded = map(partial(decode, predictor.preprocessing, config.max_pixels), photos)
    return config.results.lines(answer(predictor, [*decoded]))


@cache
def _open_once(file: Path) -> tuple[ProcessConfig, Predictor]:
    """Read the configuration and open its classifier, once in each process."""
    config: ProcessConfig = pickle.loads(file.read_bytes())  # noqa: S301 - from the process that started this one
    content = map_content(config.prepared) if isinstance(config.prepared, Path) else config.prepared
    return config, open_prepared(content, threads=THREADS, largest=BATCH)[0]


def decode(preprocessing: Preprocessing, max_pixels: int, photo: Photo) -> Decoded:
    """Read a photo's file into pixels, or describe why that failed."""
    try:
        return photo, preprocessing.decode(read_photo(photo.path), max_pixels=max_pixels)
    except (OSError, PictureError) as exc:
        return photo, Failure.of(exc)


def answer(predictor: Predictor, decoded: Sequence[Decoded]) -> list[Result]:
    """Classify the decoded photos; return the results of all photos, in order."""
    outcomes = iter(predictor.predict_each([found for _, found in decoded if not isinstance(found, Failure)]))
    return [
        Result(photo, found if isinstance(found, Failure) else _prediction_or_failure(next(outcomes)))
        for photo, found in decoded
    ]


def _prediction_or_failure(outcome: Prediction | Exception) -> Prediction | Failure:
    if isinstance(outcome, InferenceError):
        return Failure.of(InferenceFailedError("The network could not answer for this picture."))
    if isinstance(outcome, Exception):
        raise outcome  # not this picture's fault
    return outcome
