"""Many photos at once in one process a core: threads of one process wait for Python's lock."""

import os
import pickle
import signal
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from app.chunks import BATCH, answer, decode
from app.errors import ResultsError
from app.photos import Photo
from app.results import Lines, ResultsFile
from model.portable import Portable
from model.predictor import Predictor

_AHEAD = 3  # batches for each process that have been handed out: one in work, the others so that it need not wait


@dataclass(frozen=True, slots=True)
class Order:
    """What the processes shall answer with, and the results they shall write."""

    portable: Portable
    results: ResultsFile
    max_pixels: int


def classify_in_processes(order: Order, photos: Iterable[Photo], processes: int) -> Generator[Lines]:
    """Yield the results for `photos`, in their order, a batch at a time; they are taken a little ahead of that.

    Raises `ResultsError` if a process ends in the middle.
    """
    source = iter(photos)
    ahead: deque[Future[Lines]] = deque()
    context = get_context("spawn")  # OpenVINO's threads do not survive a fork
    with TemporaryDirectory(prefix="whisker-") as folder, ProcessPoolExecutor(processes, context, _begin) as pool:
        # Through a file: the executor's own way, a pipe, blocks for ever if a process ends before it has read it.
        file = Path(folder) / "order"
        file.write_bytes(pickle.dumps(order))
        try:
            while batch := list(islice(source, BATCH)):
                ahead.append(pool.submit(_classify, file, batch))
                if len(ahead) == _AHEAD * processes:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as exc:
            raise ResultsError(
                "A process that decoded photos has ended, for want of memory or because a photo crashed it: the same "
                "command, without --overwrite, goes on from here."
            ) from exc
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    Thread(target=_end_with_parent, name="supervised", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _classify(file: Path, photos: list[Photo]) -> Lines:
    order, predictor = _carry_out(file)
    decoded = map(partial(decode, predictor.preprocessing, order.max_pixels), photos)
    return order.results.lines(answer(predictor, [*decoded]))


@cache
def _carry_out(file: Path) -> tuple[Order, Predictor]:
    """Read the order, once, and open what it answers with."""
    order: Order = pickle.loads(file.read_bytes())  # noqa: S301 - from the process that started this one
    return order, order.portable.open(threads=1, largest=BATCH)[0]
