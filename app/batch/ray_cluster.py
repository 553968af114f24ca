"""Many photos on many machines, with Ray Data, which schedules, distributes and retries. Each worker has its own core.

Whisker must be installed for all workers, and photos and checkpoint must have the same paths for all of them.
"""

import logging
import os
import re
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.exceptions import RayError

from whisker.app.batch.local import LocalClassifier
from whisker.app.batch.photos import Photo
from whisker.app.batch.results import Lines, ResultsFile
from whisker.app.batch.threads import classify
from whisker.app.errors import ResultsError
from whisker.app.settings import Settings
from whisker.model.errors import CheckpointError

_BLOCK_PHOTOS = 512  # that a worker takes at a time, and another one takes again if the worker is lost
_TRIES = 4  # of a block after the first attempt: a photo that ends its worker must not do so for ever


class RayWorker:
    """A process of the cluster, with its own classifier."""

    def __init__(self, settings: Settings, sha256: str, results: ResultsFile) -> None:
        """Load the checkpoint; raise `CheckpointError` if the file here has another SHA-256."""
        self._settings = settings.model_copy(update={"threads": 1, "inference_workers": 1})
        classifier = LocalClassifier(self._settings)
        if classifier.card["sha256"] != sha256:
            raise CheckpointError(f"{settings.checkpoint} is another file on a worker than where the run was started.")
        self._predictor = classifier.predictor()
        self._results = results

    def __call__(self, block: dict[str, Any]) -> dict[str, list[Any]]:
        """Classify a block of photos: columns `path` (bytes) and `name` to the columns of `Lines`, a row a batch."""
        photos = [Photo(os.fsdecode(path), name) for path, name in zip(block["path"], block["name"], strict=True)]
        batches = classify(self._predictor, photos, self._settings)
        columns = zip(*map(self._results.lines, batches), strict=True)
        return dict(zip(Lines._fields, map(list, columns), strict=True))


def classify_on_ray(settings: Settings, sha256: str, photos: Iterator[Photo], results: ResultsFile) -> Generator[Lines]:
    """Yield the results for `photos`, in their order, from the cluster at `RAY_ADDRESS` or one of this machine's cores.

    Raises `ResultsError` if the cluster gives up.
    """
    first = next(photos, None)
    if first is None:
        return
    try:
        with _cluster():
            blocks: Any = [ray.put(block) for block in _blocks(chain([first], photos))]
            answers = ray.data.from_arrow_refs(blocks).map_batches(
                RayWorker,
                fn_constructor_args=(settings, sha256, results),
                batch_size=None,  # blocks as they are
                max_restarts=-1,
                max_task_retries=_TRIES,
                **_resources(settings.device),
            )
            for rows in answers.iter_batches(batch_size=None, batch_format="numpy"):
                yield from map(Lines, *(rows[name].tolist() for name in Lines._fields))
    except RayError as exc:
        raise ResultsError(f"Ray gave up ({_reason(exc)}): fix the cause and run the same command again.") from exc


@contextmanager
def _cluster() -> Iterator[None]:
    """Join the cluster at `RAY_ADDRESS`, or run one on this machine; keep Ray's own logs and progress bars away."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to third parties
    joined_before = ray.is_initialized()
    if not joined_before:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    # Errors are raised as well, and Ray's own log files have the rest.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    try:
        with warnings.catch_warnings():
            # Ray 2.60 deprecates its only way to bound retries; hence the upper bound in pyproject.toml.
            warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
            yield
    finally:
        if not joined_before:
            ray.shutdown()


def _resources(device: str) -> dict[str, Any]:
    """Give each worker a core and, for CUDA, a GPU; ask for as many workers as the cluster has of them."""
    on_gpus = device.startswith("cuda")
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    count = max(1, int(resources.get("GPU" if on_gpus else "CPU", 0)))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count)
    return {"compute": pool, "num_cpus": 1, "num_gpus": 1 if on_gpus else 0}


def _blocks(photos: Iterable[Photo]) -> Iterator[pa.Table]:
    source = iter(photos)
    while block := list(islice(source, _BLOCK_PHOTOS)):
        # A path may not be UTF-8, as a column of strings must be.
        yield pa.table({"path": [os.fsencode(photo.path) for photo in block], "name": [photo.name for photo in block]})


def _reason(exc: RayError) -> str:
    """Find the last sentence of Ray's report, which holds the tracebacks of other processes as text."""
    last = str(exc).strip().rpartition("\n")[2]
    return re.sub(r"^[\w.]+: ", "", last).rstrip(".")
