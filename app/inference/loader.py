"""The loader: a process with PyTorch that loads and verifies checkpoints, and has seen no upload.

What it exports, inference workers open without PyTorch. A checkpoint that ends a process ends this one, and no worker.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from whisker.app.inference.wire import Opening, WorkerConfig
from whisker.app.inference.worker_handle import PROGRAM, OpenedModel, WorkerHandle
from whisker.model.card.document import CheckpointCard

_MAX_LOADS = 30  # by one process: PyTorch's memory grows with each
_BACKGROUND_NICENESS = 10


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A checkpoint that was loaded and has answered its golden pictures, ready for workers to open.

    `exported` is empty if each of them has to load the checkpoint itself.
    """

    checkpoint: Path
    card: CheckpointCard
    exported: bytes


class Loader:
    """Load checkpoints, one at a time. Belongs to one event loop."""

    def __init__(
        self, config: WorkerConfig, engine: str, max_batch: int, *, seconds: float, program: str = PROGRAM
    ) -> None:
        self._config = config
        self._engine, self._max_batch, self._seconds = engine, max_batch, seconds
        self._program = program
        self._worker: WorkerHandle | None = None
        self._loads = 0
        self._used_at = 0.0
        self._turn = asyncio.Lock()

    async def load_first(
        self, checkpoint: Path, slot: int, new_worker: Callable[[], WorkerHandle], *, goes_on: bool
    ) -> tuple[LoadedModel, tuple[WorkerHandle, OpenedModel] | None]:
        """Load the first model, with nobody to give way to; others follow soon if it `goes_on`.

        Where its engine needs PyTorch, the worker that has it open is given, too. Raises what `Classifier.load` raises,
        and `WorkerError`.
        """
        worker = new_worker()
        opening = Opening(slot, checkpoint, self._engine, self._max_batch)
        (opened,) = await worker.open(self._config, [opening], seconds=self._seconds)
        card = opened.document["card"]
        assert card is not None  # noqa: S101 - this worker has loaded the checkpoint
        loaded = LoadedModel(checkpoint, card, opened.exported)
        if not loaded.exported:
            return loaded, (worker, opened)
        if goes_on:
            worker.close_model(slot)
            worker.lower(_BACKGROUND_NICENESS)
            self._worker, self._loads, self._used_at = worker, 1, time.monotonic()
        else:
            await worker.end(0)
        return loaded, None

    async def load(self, checkpoint: Path) -> LoadedModel:
        """Load a model while others answer; raise what `Classifier.load` raises, and `WorkerError`."""
        async with self._turn:
            opening = Opening(0, checkpoint, self._engine, self._max_batch)
            opened = None
            if self._worker is not None and self._worker.ended.is_set():
                await self._end()
            if self._worker is None:
                self._worker = WorkerHandle(_ignore, _ignore, program=self._program)
                config = replace(self._config, niceness=_BACKGROUND_NICENESS)
                try:
                    (opened,) = await self._worker.open(config, [opening], seconds=self._seconds)
                except BaseException:  # raised again: `open` has ended the process
                    self._worker = None
                    raise
            else:
                opened = await self._worker.open_model(opening, seconds=self._seconds)
            self._worker.close_model(opening.slot)
            self._loads += 1
            self._used_at = time.monotonic()
            if self._loads >= _MAX_LOADS:
                await self._end()
            card = opened.document["card"]
            assert card is not None  # noqa: S101 - as above
            return LoadedModel(checkpoint, card, opened.exported)

    async def rest_after(self, seconds: float) -> None:
        """End the process if it has loaded nothing for so many seconds; the next checkpoint starts another."""
        if not self._turn.locked() and time.monotonic() - self._used_at >= seconds:
            await self._end()

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        await self._end()

    async def _end(self) -> None:
        worker, self._worker, self._loads = self._worker, None, 0
        if worker is not None:
            await worker.end(0)


def _ignore(*_: object) -> None:
    """Take no answer, and do without the worker when it ends."""
