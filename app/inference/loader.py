"""The loader: a process with PyTorch that loads and verifies checkpoints, and has seen no upload.

What it exports, inference workers open without PyTorch. A checkpoint that ends a process ends this one, and no worker.
What was exported before, on the same machine and from the same file, is found in a cache instead, and then there is no
such process.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from whisker.app.inference.prepared_models import LoadedModel, PreparedModels
from whisker.app.inference.program import PROGRAM
from whisker.app.inference.wire import Opening, WorkerConfig
from whisker.app.inference.worker_handle import WorkerHandle
from whisker.app.inference.worker_models import OpenedModel

_MAX_LOADS = 30  # by one process: PyTorch's memory grows with each
_DYING_SECONDS = 10.0  # for the end of a process that was killed, and has had no time to end
_PATIENCE_SECONDS = 20.0  # for a load in the time that others leave; then it takes part as they do

logger = logging.getLogger(__name__)


class Loader:
    """Load checkpoints, one at a time. Belongs to one event loop."""

    def __init__(
        self,
        config: WorkerConfig,
        engine: str,
        *,
        seconds: float,
        program: str = PROGRAM,
        prepared: PreparedModels | None = None,
    ) -> None:
        self._config = config
        self.prepared = prepared or PreparedModels(None, config, engine)
        self._engine, self._seconds = engine, seconds
        self._program = program
        self._worker: WorkerHandle | None = None
        self._loads = 0
        self._dying: list[WorkerHandle] = []
        self._used_at = 0.0
        self._turn = asyncio.Lock()

    async def load_first(
        self, checkpoint: Path, slot: int, max_batch: int, new_worker: Callable[[], WorkerHandle], *, goes_on: bool
    ) -> tuple[LoadedModel, tuple[WorkerHandle, OpenedModel] | None]:
        """Load the first model, with nobody to give way to; others follow soon if it `goes_on`.

        Where its engine needs PyTorch, the worker that has it open is given, too. Raises what `Classifier.load` raises,
        and `WorkerError`.
        """
        found = await asyncio.to_thread(self.prepared.find, checkpoint, max_batch)
        if found is not None:
            return found, None
        worker = new_worker()
        opening = Opening(slot, checkpoint, self._engine, max_batch)
        (opened,) = await worker.open(self._config, [opening], seconds=self._seconds)
        loaded = await self._loaded(opening, opened)
        if loaded.source is None:
            return loaded, (worker, opened)
        if goes_on:
            worker.close_model(slot)
            worker.leave_time()
            self._worker, self._loads, self._used_at = worker, 1, time.monotonic()
        else:
            await worker.end(0)
        return loaded, None

    async def load(self, checkpoint: Path, max_batch: int) -> LoadedModel:
        """Load a model for batches up to `max_batch` while others answer.

        It takes the time that others leave, unless they leave too little. Raises what `Classifier.load` raises, and
        `WorkerError`.
        """
        async with self._turn:
            found = await asyncio.to_thread(self.prepared.find, checkpoint, max_batch)
            if found is not None:
                return found
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return await self._load(checkpoint, max_batch, is_idle=True)
            except TimeoutError:
                logger.info("The machine is too busy to load in passing", extra={"checkpoint": str(checkpoint)})
                await self._end()
                try:
                    return await self._load(checkpoint, max_batch, is_idle=False)
                finally:
                    await self._end()

    async def _load(self, checkpoint: Path, max_batch: int, *, is_idle: bool) -> LoadedModel:
        opening = Opening(0, checkpoint, self._engine, max_batch)
        opened = await self._open(opening, is_idle=is_idle)
        assert self._worker is not None  # noqa: S101 - which has just opened it
        self._worker.close_model(opening.slot)
        self._loads += 1
        self._used_at = time.monotonic()
        if self._loads >= _MAX_LOADS:
            await self._end()
        return await self._loaded(opening, opened)

    async def _loaded(self, opening: Opening, opened: OpenedModel) -> LoadedModel:
        card = opened.document["card"]
        assert card is not None  # noqa: S101 - it was opened from its checkpoint
        loaded = LoadedModel(opening.checkpoint, card, opened.exported, opening.max_batch)
        return await asyncio.to_thread(self.prepared.keep, loaded)

    async def _open(self, opening: Opening, *, is_idle: bool) -> OpenedModel:
        """Open a model in the process that is there, or in a new one."""
        if self._worker is not None and self._worker.ended.is_set():
            await self._end()
        if self._worker is not None:
            return await self._worker.open_model(opening, seconds=self._seconds)
        worker = WorkerHandle(_ignore, _ignore, program=self._program)
        config = replace(self._config, is_idle=is_idle)
        try:
            (opened,) = await worker.open(config, [opening], seconds=self._seconds)
        except BaseException:  # raised again: a busy machine may not have let the process end yet
            self._worker = worker if worker.is_left else None
            raise
        self._worker = worker
        return opened

    async def rest_after(self, seconds: float) -> None:
        """End the process if it has loaded nothing for so many seconds; the next checkpoint starts another."""
        if not self._turn.locked() and time.monotonic() - self._used_at >= seconds:
            await self._end()

    async def close(self) -> None:
        """End the process, whatever it is doing, and wait for those that a busy machine has not let end yet."""
        await self._end()
        for worker in self._dying:
            await worker.end(_DYING_SECONDS)
        self._dying.clear()

    async def _end(self) -> None:
        worker, self._worker, self._loads = self._worker, None, 0
        if worker is not None and await worker.end(0) is None:
            self._dying.append(worker)


def _ignore(*_: object) -> None:
    """Take no answer, and do without the worker when it ends."""
