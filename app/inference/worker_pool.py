"""The worker pool: the inference workers, what they have open, and what becomes of those that end.

A worker decodes and predicts on one core while the others do the same on theirs; the HTTP process only speaks HTTP.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from pathlib import Path

from whisker.app import time_limits
from whisker.app.errors import WorkerError
from whisker.app.inference.begun import FIRST_SLOT, BegunWorkers, worker_config, worker_count
from whisker.app.inference.dispatcher import Dispatcher
from whisker.app.inference.loader import Loader
from whisker.app.inference.lost import settle_lost
from whisker.app.inference.open_model import OpenModel
from whisker.app.inference.position import Position
from whisker.app.inference.prepared_models import LoadedModel, PreparedModels
from whisker.app.inference.program import PROGRAM
from whisker.app.inference.requests import PendingPrediction
from whisker.app.inference.worker_handle import WorkerHandle
from whisker.app.inference.worker_models import OpenedModel
from whisker.app.metrics import Metrics
from whisker.app.prepared import open_cache
from whisker.app.settings import Settings
from whisker.model.card.document import CheckpointCard
from whisker.model.errors import WhiskerError

_MAX_WORKERS_ON_A_GPU = 4  # each has a context of its own there, and four answer more than one service can pass on
_HEAVY_SHARE = 4  # heavy pictures may have one of so many upload slots
# Times `stall_seconds`: estimates of what heavy pictures take are for a core that is not shared, and a worker that
# opens a model shares its own.
_HEAVY_PATIENCE = 2
_MAX_ENDED = 2  # workers that may end while they open a model, before it is the model that is given up

logger = logging.getLogger(__name__)


class WorkerPool:
    """Own the inference workers, hand them uploads, and replace those that end. Belongs to one event loop.

    Every worker has the same models open, each under a slot. `program` is the module that workers run; `begun` are
    workers of the first model that are there already.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, *, program: str = PROGRAM, begun: BegunWorkers | None = None
    ) -> None:
        self._metrics = metrics
        self._program = program
        self._checkpoint = settings.checkpoint
        self._stall_seconds = settings.stall_seconds
        self._max_batch_seconds = settings.max_batch_seconds
        self._start_seconds = self._max_start_seconds = settings.start_seconds
        self.count = worker_count(settings)
        self._max_batch = settings.max_batch
        self._config = worker_config(settings)
        self._begun = begun or BegunWorkers(PreparedModels(open_cache(settings), self._config, settings.engine))
        self.loader = Loader(
            self._config,
            settings.engine,
            seconds=settings.start_seconds,
            program=program,
            prepared=self._begun.prepared,
        )
        self._loop = asyncio.get_running_loop()
        self._models: dict[int, OpenModel] = {}
        self._last_slot = FIRST_SLOT
        self._opening = asyncio.Lock()
        self._workers: list[WorkerHandle] = []
        self._dispatcher = Dispatcher(
            self._workers, self._largest_batch, metrics, max_heavy=max(1, settings.max_in_flight // _HEAVY_SHARE)
        )
        self._empty_since: float | None = None  # when the last worker ended
        self._positions: list[Position] = []
        self._started = False
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, checkpoint: Path | None = None, *, goes_on: bool = False) -> CheckpointCard:
        """Load a checkpoint into the first slot, start all workers, and return the checkpoint's card.

        If it `goes_on`, other checkpoints are to be loaded soon.

        Raises what loading raises, and `WorkerError` if a worker cannot be started.
        """
        begun = time.perf_counter()
        try:
            card = await self._load_and_start(checkpoint or self._checkpoint, goes_on=goes_on)
        except BaseException:  # raised again: another checkpoint may be tried next, and must meet nothing of this one
            await self._forget_all()
            raise
        took = time.perf_counter() - begun
        self._start_seconds = min(self._max_start_seconds, max(time_limits.REPLACEMENT_SECONDS, 10 * took))
        return card

    async def _load_and_start(self, checkpoint: Path, *, goes_on: bool) -> CheckpointCard:
        """Load a checkpoint and start all workers, once more if what was prepared of it cannot be used."""

        async def load() -> tuple[LoadedModel, tuple[WorkerHandle, OpenedModel] | None]:
            begun = self._begun.take_model()
            if begun is not None and begun.checkpoint == checkpoint:
                return begun, None
            self._begun.end()
            return await self.loader.load_first(
                checkpoint, FIRST_SLOT, self._max_batch, self._new_worker, goes_on=goes_on
            )

        loaded, first = await load()
        try:
            await self._start(loaded, first)
        except WhiskerError as exc:
            if not self.loader.prepared.refuse(loaded, exc):
                raise
            await self._forget_all()
            loaded, first = await load()
            await self._start(loaded, first)
        return loaded.card

    async def _forget_all(self) -> None:
        workers = self._take_workers()
        self._models.clear()
        await asyncio.gather(self.loader.close(), *(worker.end(0) for worker in workers))

    def _take_workers(self) -> list[WorkerHandle]:
        """Do without all workers, and return them; the list is emptied in place, as the dispatcher has it, too."""
        taken = [*self._workers]
        self._workers.clear()
        return taken

    async def _start(self, loaded: LoadedModel, first: tuple[WorkerHandle, OpenedModel] | None) -> None:
        self._models[FIRST_SLOT] = OpenModel.of(FIRST_SLOT, loaded)
        if loaded.card["device"] != "cpu":
            self.count = min(self.count, _MAX_WORKERS_ON_A_GPU)
        self._metrics.wanted_inference_workers.set(self.count)
        holders = []
        if first is not None:
            holder, told = first
            self._models[FIRST_SLOT].note(told, max_batch_seconds=self._max_batch_seconds)
            self._add(holder)
            holders.append(holder)
        opened = [self._open() for _ in range(self.count - len(holders))]
        for outcome in await asyncio.gather(*opened, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            holders.append(outcome)
        self._positions = [Position(holder, self._open) for holder in holders]
        for position in self._positions:
            self._keep(position.keep_filled())
        self._keep(self._watch())
        self._started = True

    async def open(self, loaded: LoadedModel) -> int:
        """Let every worker open a model, one after another, while all answer; return its slot.

        Raises the `WhiskerError` that a worker fails with, and then the model is open nowhere.
        """
        self._last_slot = slot = self._last_slot + 1
        self._models[slot] = OpenModel.of(slot, loaded)
        try:
            async with self._opening:
                await self._open_everywhere(slot)
        except BaseException:  # raised again: no worker may keep what nobody can ask for
            self.discard(slot)
            raise
        return slot

    def discard(self, slot: int) -> None:
        """Let every worker forget a model, after what it was sent before."""
        if self._models.pop(slot, None) is not None:
            for worker in self._workers:
                worker.close_model(slot)

    def discard_later(self, slot: int) -> None:
        """Do as `discard` soon, in whatever thread this is called."""
        if not self._closing:
            self._loop.call_soon_threadsafe(self.discard, slot)

    def memory(self, slot: int) -> int:
        """Give the bytes that a model takes in all workers, as far as the system tells, and here or in a file."""
        found = self._models[slot]
        exported = found.opening.exported
        once = len(exported) if isinstance(exported, bytes) else 0 if found.file is None else found.file.size
        return found.bytes * self.count + once

    def max_batch(self, slot: int) -> int:
        """Give the largest batch for a model."""
        return self._models[slot].max_batch

    async def close(self) -> None:
        """Answer what is queued, take no more, and end the processes."""
        self._closing = True
        deadline = time.perf_counter() + time_limits.CLOSE_SECONDS
        while self._dispatcher.is_busy and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.loader.close()
        await asyncio.gather(*(worker.end(time_limits.CLOSE_SECONDS) for worker in self._take_workers()))

    @property
    def is_running(self) -> bool:
        """Tell whether a new upload will be answered: also if all workers have just ended."""
        return self._started and not self._closing and not self.is_empty(self._stall_seconds)

    @property
    def pids(self) -> list[int]:
        """List the process ids of the workers that are ready to answer."""
        return [worker.pid for worker in self._workers]

    @property
    def has_time(self) -> bool:
        """Tell whether a picture more keeps nobody waiting now: one worker is idle or, if there are several, two."""
        idle = sum(not worker.batches for worker in self._workers)
        return not self._dispatcher.waiting and idle >= min(2, len(self._positions))

    def is_empty(self, seconds: float) -> bool:
        """Tell whether, for more than `seconds`, there has been no worker and none could be started."""
        return self._empty_since is not None and time.perf_counter() - self._empty_since > seconds

    def lacks_workers(self, seconds: float) -> bool:
        """Tell whether, for more than `seconds`, a worker that ended could not be replaced by one that lasts."""
        return any(position.is_vacant(seconds) for position in self._positions)

    def put(self, pending: PendingPrediction) -> None:
        """Queue an upload for the next free worker; cancelling its result before then drops it."""
        self._dispatcher.put(pending)

    def _lost(self, worker: WorkerHandle) -> None:
        """Do without a worker that has ended; what it was working on is tried once more, each picture alone."""
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        self._metrics.inference_workers.set(len(self._workers))
        if not self._workers:
            self._empty_since = time.perf_counter()
        self._metrics.ended_inference_workers.inc()
        self._dispatcher.put_again(settle_lost(worker, self._stall_seconds))

    def _largest_batch(self, slot: int) -> int:
        found = self._models.get(slot)
        return found.max_batch if found else 1  # nobody waits for a model that is closed

    def _new_worker(self) -> WorkerHandle:
        return WorkerHandle(self._dispatcher.take_answer, self._lost, program=self._program)

    async def _open(self) -> WorkerHandle:
        """Start a worker with all models open."""
        worker = self._new_worker()
        models = [*self._models.values()]
        told = await worker.open(
            self._config,
            [it.opening for it in models],
            seconds=self._start_seconds,
            begun=self._begun.take_worker(),
        )
        try:
            for model, opened in zip(models, told, strict=True):
                model.note(opened, max_batch_seconds=self._max_batch_seconds)
            while missing := [it for it in self._models.values() if it.opening.slot not in worker.slots]:
                opened = await worker.open_model(missing[0].opening, seconds=self._start_seconds)
                missing[0].note(opened, max_batch_seconds=self._max_batch_seconds)
        except BaseException:  # raised again: no process may be left behind
            await worker.end(0)
            raise
        for slot in worker.slots - self._models.keys():
            worker.close_model(slot)
        self._add(worker)
        return worker

    async def _open_everywhere(self, slot: int) -> None:
        """Open a model in all workers; one that ends is replaced, and the next one has it open from the start."""
        model, ended = self._models[slot], 0
        while lacking := [it for it in self._workers if slot not in it.slots]:
            try:
                opened = await lacking[0].open_model(model.opening, seconds=self._start_seconds)
                model.note(opened, max_batch_seconds=self._max_batch_seconds)
            except WorkerError:
                ended += 1
                if ended >= _MAX_ENDED:
                    raise
                await asyncio.sleep(0)  # until it is no longer among the workers
            finally:
                self._dispatcher.dispatch()
        if not self._workers:  # perhaps because of this model, which no replacement may open then
            raise WorkerError("All inference workers ended while they opened a model.")

    def _add(self, worker: WorkerHandle) -> None:
        """Use a worker that is ready."""
        self._workers.append(worker)
        self._metrics.inference_workers.set(len(self._workers))
        self._empty_since = None
        self._dispatcher.dispatch()

    async def _watch(self) -> None:
        """End workers that are stalled: there is no other way to stop what they do."""
        while True:
            await asyncio.sleep(self._stall_seconds / time_limits.STALL_CHECKS)
            for worker in self._workers:
                patience = _HEAVY_PATIENCE if worker.has_heavy or worker.is_opening else 1
                if worker.is_stalled(self._stall_seconds * patience):
                    logger.error("An inference worker is stalled", extra={"inference_worker": worker.pid})
                    worker.was_stalled = True
                    worker.kill()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("The worker pool has a defect", exc_info=exc)
