"""An inference worker, seen from the service: its process, and the connection to it."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from whisker.app import time_limits
from whisker.app.errors import WorkerError
from whisker.app.inference.begun import BegunWorker
from whisker.app.inference.program import PROGRAM
from whisker.app.inference.requests import PendingPrediction
from whisker.app.inference.wire import (
    ANSWER,
    ANSWER_LONE,
    CLOSE,
    EXPORTED,
    FRAME,
    OPENED,
    ORDER,
    PICTURE,
    Opening,
    WorkerConfig,
    pack_config,
    pack_opening,
)
from whisker.app.inference.worker_models import OpenedModel, WorkerModels
from whisker.app.inference.worker_process import WorkerProcess

_MAX_ANSWER_BYTES = 10_000_000  # a thousand classes for 32 pictures are a quarter of it
_MAX_DRAWING_BYTES = 2_500_000  # 800 x 800 pixels of noise as PNG are 2 MB

OnAnswer = Callable[["WorkerHandle", bytes, Sequence[bytes]], None]
OnEnd = Callable[["WorkerHandle"], None]

logger = logging.getLogger(__name__)


class WorkerHandle(asyncio.Protocol):
    """Talk to one worker.

    `on_answer` is given the document and the drawings that answer the oldest batch; `on_end` is told when the process
    has ended. `program` is the module that the process runs.
    """

    _process: WorkerProcess
    _transport: asyncio.Transport | None = None

    def __init__(self, on_answer: OnAnswer, on_end: OnEnd, *, program: str = PROGRAM) -> None:
        self._on_answer, self._on_end = on_answer, on_end
        self._program = program
        self.batches: deque[list[PendingPrediction]] = deque()
        self.bytes = 0  # of the pictures in the batches
        self.uploads_at_end = 0
        self.was_stalled = False
        self.ended = asyncio.Event()
        self._models = WorkerModels()
        self._has_answered = False
        self._busy_since = 0.0
        self._received = bytearray()
        self._answer: list[bytes] = []  # the frames so far of the answer to the oldest batch

    async def open(
        self,
        config: WorkerConfig,
        openings: Sequence[Opening],
        *,
        seconds: float,
        begun: BegunWorker | None = None,
    ) -> list[OpenedModel]:
        """Start the process and let it open models; return what it tells of each. One that has `begun` does so already.

        Raises the `WhiskerError` that the worker fails with, and `WorkerError` if no process can be started, or none is
        ready within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._open(config, openings, begun)
        except (OSError, RuntimeError, MemoryError) as exc:  # no memory, descriptors, processes or threads are left
            if limit.expired():
                names = ", ".join(str(opening.checkpoint) for opening in openings)
                raise WorkerError(
                    f"An inference worker was not ready within {seconds:g} seconds: "
                    f"allow more with WHISKER_START_SECONDS, unless something is wrong with {names}."
                ) from exc
            raise WorkerError(f"An inference worker cannot be started: {str(exc) or type(exc).__name__}.") from exc

    async def _open(
        self, config: WorkerConfig, openings: Sequence[Opening], begun: BegunWorker | None
    ) -> list[OpenedModel]:
        expected = list["asyncio.Future[OpenedModel]"]()
        if begun is None:
            self._process, ours = await WorkerProcess.start(self._program, is_idle=config.is_idle)
        else:
            self._process, ours = WorkerProcess(begun.process, is_idle=config.is_idle), begun.connection
            expected = [self._models.expect(opening) for opening in openings]  # first: it may have answered already
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
            if begun is None:
                transport.write(pack_config(config))
                expected = [self._order(opening) for opening in openings]
            return [await told for told in expected]
        except BaseException:  # raised again: even when this is cancelled, no process may be left behind
            if self._transport is None:
                ours.close()
            await self.end(0)
            raise

    async def open_model(self, opening: Opening, *, seconds: float) -> OpenedModel:
        """Let the worker open one model more, beside its answers unless that takes PyTorch.

        Raises the `WhiskerError` that it fails with, and `WorkerError` if the worker ends, or takes more than
        `seconds`, and is killed for that.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._order(opening)
        except TimeoutError as exc:
            self.kill()
            raise WorkerError(
                f"An inference worker had not opened {opening.checkpoint} within {seconds:g} seconds."
            ) from exc

    def close_model(self, slot: int) -> None:
        """Let the worker forget a model, after the batches that were sent before."""
        self._models.slots.discard(slot)
        if self._transport is not None:
            self._transport.write(ORDER.pack(CLOSE, slot, 0))

    @property
    def slots(self) -> set[int]:
        """Give the slots of the models that are open."""
        return self._models.slots

    @property
    def is_loading(self) -> bool:
        """Tell whether the worker opens a model with PyTorch, and answers nothing meanwhile."""
        return self._models.is_any_loaded

    @property
    def is_opening(self) -> bool:
        """Tell whether the worker opens a model, beside answers or before them."""
        return self._models.is_any_expected

    def _order(self, opening: Opening) -> "asyncio.Future[OpenedModel]":
        if self._transport is None or self.ended.is_set():
            raise WorkerError("An inference worker ended before it could open a model.")
        self._transport.write(pack_opening(opening))
        return self._models.expect(opening)

    @property
    def is_left(self) -> bool:
        """Tell whether the process was started, and has not been seen to end."""
        return hasattr(self, "_process") and not self._process.has_ended

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_stalled(self, seconds: float) -> bool:
        """Tell whether one batch has taken more than `seconds`."""
        return bool(self.batches) and time.perf_counter() - self._busy_since > seconds

    def send(self, batch: list[PendingPrediction], *, is_lone: bool = False) -> None:
        """Send a batch for one model, to be answered after those that were sent before; or a lone picture."""
        headers = [PICTURE.pack(len(one.data), one.is_heavy, *one.options.packed) for one in batch]
        order = ORDER.pack(ANSWER_LONE if is_lone else ANSWER, batch[0].slot, len(batch))
        if not self.batches:
            self._busy_since = time.perf_counter()
        self.batches.append(batch)
        self.bytes += sum(len(one.data) for one in batch)
        assert self._transport is not None  # noqa: S101 - the worker has opened a model
        # Not joined: uvloop hands the pictures to the system as they are.
        self._transport.writelines([b"".join([order, *headers]), *(one.data for one in batch)])

    def pop_answered(self) -> list[PendingPrediction]:
        """Remove and return the oldest batch, since it was answered."""
        batch = self.batches.popleft()
        self.bytes -= sum(len(one.data) for one in batch)
        self._busy_since = time.perf_counter()
        self._has_answered = True
        return batch

    @property
    def pictures(self) -> int:
        """Count the pictures that it has been sent and has not answered."""
        return sum(map(len, self.batches))

    @property
    def has_heavy(self) -> bool:
        """Tell whether the worker decodes, or will decode next, a picture that is alone because of its size."""
        return any(batch[0].is_heavy for batch in self.batches)

    @property
    def has_heavy_upload(self) -> bool:
        """Tell whether it is so, and a client waits for the picture."""
        return any(batch[0].is_heavy and not batch[0].is_spare for batch in self.batches)

    @property
    def has_proved(self) -> bool:
        """Tell whether the worker has been of use: it has answered, or lasted for a while."""
        ready_at = self._models.ready_at
        lasted = ready_at is not None and time.perf_counter() - ready_at > time_limits.STEADY_SECONDS
        return self._has_answered or lasted

    def leave_time(self) -> None:
        """Let all other processes go first, from now on."""
        self._process.leave_time()

    def kill(self) -> None:
        """End the process, whatever it is doing, and listen to it no more."""
        self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    async def end(self, seconds: float) -> int | None:
        """Hang up, wait up to `seconds` for the process to end by itself, or kill it; return its exit code.

        Returns `None` if the system does not let it end.
        """
        if self._transport is not None:
            self._transport.close()
        return await self._process.end(seconds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream

    def data_received(self, data: bytes) -> None:
        self._received += data
        for kind, frame in self._frames():
            if kind in (OPENED, EXPORTED):
                self._take_told(kind, frame)
            else:
                self._take_answer(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.uploads_at_end = sum(map(len, self.batches))
        self.ended.set()
        self._models.give_up()
        self._on_end(self)

    def _frames(self) -> Iterator[tuple[bytes, bytes]]:
        transport = self._transport
        while len(self._received) >= FRAME.size and transport is not None and not transport.is_closing():
            kind, length = FRAME.unpack_from(self._received)
            if length > self._max_bytes(kind):
                self._refuse("announces a message that is too long", bytes=length)
                return
            end = FRAME.size + length
            if len(self._received) < end:
                return
            frame = bytes(self._received[FRAME.size : end])
            del self._received[:end]
            yield kind, frame

    def _max_bytes(self, kind: bytes) -> float:
        """Bound a frame: what has seen no upload may be as long as it likes."""
        if kind == EXPORTED:
            return math.inf if self._models.is_exported_next and not self._has_answered else 0
        return _MAX_DRAWING_BYTES if self._answer and kind != OPENED else _MAX_ANSWER_BYTES

    def _take_answer(self, frame: bytes) -> None:
        """Gather the document that answers the oldest batch, and then each drawing that was asked for."""
        self._answer.append(frame)
        batch = self.batches[0] if self.batches else []
        if len(self._answer) > sum(one.options.wants_drawing for one in batch):
            (document, *drawings), self._answer = self._answer, []
            self._on_answer(self, document, drawings)

    def _take_told(self, kind: bytes, frame: bytes) -> None:
        """Take what the worker tells of a model."""
        if kind == EXPORTED and not self._models.is_exported_next:
            self._refuse("sends what it was not asked for", bytes=len(frame))
            return
        try:
            if kind == OPENED:
                self._models.take_opened(frame)
            else:
                self._models.take_exported(frame)
        except (LookupError, TypeError, ValueError) as exc:
            self._refuse("tells of a model that it was not asked to open", reason=str(exc))

    def _refuse(self, complaint: str, **details: object) -> None:
        logger.error("An inference worker %s", complaint, extra={"inference_worker": self.pid, **details})
        self.kill()
