"""Inference workers that begin while the service's own modules are still being imported, which takes as long.

That is possible where the checkpoint was prepared before: then it is known at once what every worker has to open.
"""

import logging
import multiprocessing
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from whisker.app.inference.prepared_models import LoadedModel, PreparedModels
from whisker.app.inference.program import PROGRAM, connected_pair, run_program
from whisker.app.inference.wire import Opening, WorkerConfig, pack_config, pack_opening
from whisker.app.prepared import open_cache
from whisker.app.settings import Settings
from whisker.model.cores import available_cores

FIRST_SLOT = 0
_LONE_THREADS = 2  # that compute a lone picture, where there are so many cores: docs/adr/0041

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BegunWorker:
    """A process that was told what to open, and our end of its connection."""

    process: "subprocess.Popen[bytes]"
    connection: socket.socket

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


@dataclass(slots=True, eq=False)
class BegunWorkers:
    """The workers that have begun, what they open, and the cache that it was found in. Each is taken once."""

    prepared: PreparedModels
    loaded: LoadedModel | None = None
    _workers: list[BegunWorker] = field(default_factory=list)

    def take_model(self) -> LoadedModel | None:
        """Give what the workers open, once."""
        loaded, self.loaded = self.loaded, None
        return loaded

    def take_worker(self) -> BegunWorker | None:
        """Give a worker; `None` if there are no more."""
        return self._workers.pop() if self._workers else None

    def begin(self, config: WorkerConfig, loaded: LoadedModel, count: int) -> None:
        """Start workers that open a model; as many as the system allows, as others are started later."""
        self.loaded = loaded
        try:
            told = pack_config(config) + pack_opening(opening_of(loaded, FIRST_SLOT))
            for _ in range(count):
                ours, theirs = connected_pair()
                with theirs:
                    worker = BegunWorker(run_program(PROGRAM, theirs), ours)
                try:
                    ours.sendall(told)
                except OSError:
                    worker.end()
                    raise
                self._workers.append(worker)
        except OSError as exc:
            logger.info("Inference workers do not begin early", extra={"reason": exc.strerror})

    def end(self) -> None:
        """End the workers that nobody has taken."""
        while (worker := self.take_worker()) is not None:
            worker.end()


@contextmanager
def begun_workers(settings: Settings) -> Iterator[BegunWorkers]:
    """Let all workers of a service begin that serves one prepared checkpoint first; others begin when it starts."""
    config = worker_config(settings)
    begun = BegunWorkers(PreparedModels(open_cache(settings), config, settings.engine))
    try:
        if settings.models is None:
            loaded = begun.prepared.find(settings.checkpoint, settings.max_batch)
            if loaded is not None:
                begun.begin(config, loaded, worker_count(settings))
        yield begun
    finally:
        begun.end()


def worker_count(settings: Settings) -> int:
    """Count the inference workers that the settings ask for."""
    return settings.inference_workers or available_cores()


def worker_config(settings: Settings) -> WorkerConfig:
    """Say how workers run."""
    cores = available_cores()
    threads = settings.threads or max(1, cores // worker_count(settings))
    return WorkerConfig(
        device=settings.device,
        threads=threads,
        lone_threads=settings.threads or max(threads, min(_LONE_THREADS, cores)),
        max_pixels=settings.max_pixels,
        log_format=settings.log_format,
        log_level=settings.log_level,
        signed_by=settings.signed_by,
        http_worker=None if multiprocessing.parent_process() is None else os.getpid(),
    )


def opening_of(loaded: LoadedModel, slot: int) -> Opening:
    """Give what workers need to open a model that was loaded."""
    card = loaded.card
    return Opening(slot, loaded.checkpoint, card["engine"], loaded.max_batch, card["sha256"], loaded.source)
