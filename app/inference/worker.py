"""An inference worker: a process that decodes pictures and predicts, one batch after the other.

`python -m whisker.app.inference.worker FD` talks over the socket FD with the service that started it, as
`whisker.app.inference.wire` describes. Most workers need no PyTorch, and so none is imported at the top.
"""

import contextlib
import gc
import json
import logging
import os
import pickle
import resource
import select
import socket
import sys
import time
from io import BufferedReader
from pathlib import Path
from threading import Lock, Thread

from whisker.app.inference.batch_handler import answer_batch
from whisker.app.inference.child_signals import LEFT, ignore
from whisker.app.inference.idleness import in_passing, leave_time
from whisker.app.inference.opening import open_model
from whisker.app.inference.wire import (
    ANSWER_LONE,
    ANSWERED,
    CLOSE,
    EXPORTED,
    FRAME,
    LENGTH,
    OPEN,
    OPENED,
    ORDER,
    PICTURE,
    BatchDocument,
    OpenedDocument,
    Opening,
    PredictionOptions,
    WorkerConfig,
    WorkItem,
)
from whisker.model.errors import WhiskerError
from whisker.model.predictor import Predictor

_BYTES_A_PIXEL = 24  # allowed for decoding: three times what it takes
_SPARE_BYTES = 256_000_000
_HANG_UP_SECONDS = 1.0  # to end by itself when the service has hung up
_MAX_LONE_MODELS = 4  # that are prepared for lone pictures: each takes 9 MB more
_NICENESS = 5  # the HTTP process goes first: it keeps all workers busy

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve the socket whose number is the only argument until it is closed."""
    ignore(LEFT)
    # OpenVINO's converter, which it imports where it can: two thirds of what its import takes, and of no use here
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # what a failed import leaves
    Thread(target=_end_with_service, args=(int(sys.argv[1]),), name="hang-up", daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as connection, contextlib.suppress(ConnectionError):
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Follow orders until the other side hangs up."""
    requests = connection.makefile("rb")
    config: WorkerConfig = pickle.loads(_read_frame(requests))  # noqa: S301 - from the process that started this one
    if config.is_idle:
        leave_time(os.getpid())
    worker = _Worker(connection, config)
    while len(order := requests.read(ORDER.size)) == ORDER.size:
        kind, slot, length = ORDER.unpack(order)
        if kind == OPEN:
            worker.open(pickle.loads(_read(requests, length)))  # noqa: S301 - as above
        elif kind == CLOSE:
            worker.close(slot)
        else:
            worker.answer(slot, _read_batch(requests, length), is_lone=kind == ANSWER_LONE)


class _Worker:
    """The models that are open here, and the connection to the service."""

    def __init__(self, connection: socket.socket, config: WorkerConfig) -> None:
        self._connection = connection
        self._sending = Lock()  # an answer, or what became of an opening
        self._opening = Lock()  # one model at a time, whose memory is measured
        self._config = config
        self._predictors: dict[int, Predictor] = {}
        self._closed: set[int] = set()  # before they were open
        self._changing = Lock()  # both
        self._lone: set[int] = set()  # whose preparation for lone pictures has begun, whatever came of it
        self._has_grown = False  # since memory was last limited
        self._has_answered = False
        self._has_pytorch = False

    def open(self, opening: Opening) -> None:
        """Open a model: beside answers or, with PyTorch, which several threads would disturb, before the next one."""
        if opening.exported is None:
            self._has_pytorch = True
            self._open(opening)
        else:
            Thread(target=self._open, args=(opening,), name=f"open-{opening.slot}", daemon=True).start()

    def close(self, slot: int) -> None:
        """Forget a model, also one that is still being opened."""
        with self._changing:
            if self._predictors.pop(slot, None) is None:
                self._closed.add(slot)
        self._lone.discard(slot)
        self._limit_memory()

    def answer(self, slot: int, batch: list[WorkItem], *, is_lone: bool) -> None:
        """Answer a batch, or a lone picture, with the model of a slot."""
        if not self._has_answered:
            self._has_answered = True
            os.nice(_NICENESS)
        if self._has_grown:
            self._has_grown = False
            self._limit_memory()
        predictor = self._predictors.get(slot)
        if predictor is None:
            document: BatchDocument = {
                "answers": [{"failure": "The model is not open."}] * len(batch),
                "inference_seconds": 0,
            }
            drawings = [b""] * sum(item.options.wants_drawing for item in batch)
        else:
            document, drawings = answer_batch(predictor, batch, self._config.max_pixels, is_lone=is_lone)
        with self._sending:
            send_frame(self._connection, ANSWERED, json.dumps(document).encode())
            for drawing in drawings:
                send_frame(self._connection, ANSWERED, drawing)
        if is_lone and predictor is not None:
            self._expect_lone(slot, predictor)

    def _expect_lone(self, slot: int, predictor: Predictor) -> None:
        """Let more threads compute the lone pictures that will come to a model; a few models only, as it takes memory.

        The preparation runs beside the pictures that come next. Without it, they are computed as all others.
        """
        is_wanted = self._config.lone_threads > self._config.threads and not self._has_pytorch
        if is_wanted and slot not in self._lone and len(self._lone) < _MAX_LONE_MODELS:
            self._lone.add(slot)
            try:
                Thread(target=self._prepare_for_lone, args=(predictor,), name=f"lone-{slot}", daemon=True).start()
            except RuntimeError as exc:
                self._complain(exc)

    def _prepare_for_lone(self, predictor: Predictor) -> None:
        try:
            with self._opening:
                predictor.prepare_for_lone(self._config.lone_threads, in_passing)
        except Exception as exc:  # noqa: BLE001 - whatever it is, for lack of memory or threads: it is not needed
            self._complain(exc)
        self._has_grown = True

    def _complain(self, exc: Exception) -> None:
        from whisker.app.logs import configure_logging, flush_log  # noqa: PLC0415 - hardly ever

        configure_logging(self._config, http_worker=self._config.http_worker)
        reason = f"{type(exc).__name__}: {exc}"
        logger.warning("Lone pictures are computed by one thread", extra={"reason": reason})
        flush_log()

    def _open(self, opening: Opening) -> None:
        try:
            with self._opening:
                opened = open_model(self._config, opening, prepare=in_passing if self._has_answered else None)
        except WhiskerError as exc:
            self._tell({"slot": opening.slot, "failed": (type(exc).__name__, str(exc))})
            return
        except Exception as exc:  # noqa: BLE001 - of libraries, or for lack of memory: the service has to know
            reason = f"The model cannot be opened: {type(exc).__name__}: {exc}".rstrip(".")
            self._tell({"slot": opening.slot, "failed": ("WhiskerError", f"{reason}.")})
            return
        seconds = {str(size): taken for size, taken in opened.batch_seconds.items()}
        is_first = not self._predictors
        with self._changing:
            if opening.slot in self._closed:
                self._closed.discard(opening.slot)
            else:
                self._predictors[opening.slot] = opened.predictor
        card, exported, taken = opened.card, opened.exported, opened.memory
        del opened
        if is_first and not self._has_answered:
            gc.collect()
            gc.freeze()
        self._limit_memory()
        document: OpenedDocument = {
            "slot": opening.slot,
            "batch_seconds": seconds,
            "bytes": taken,
            "card": card,
        }
        self._tell(document, exported if card is not None else None)

    def _tell(self, document: OpenedDocument, exported: bytes | None = None) -> None:
        with self._sending, contextlib.suppress(ConnectionError):
            send_frame(self._connection, OPENED, json.dumps(document).encode())
            if exported is not None:
                send_frame(self._connection, EXPORTED, exported)

    def _limit_memory(self) -> None:
        """Let no picture take more memory than the largest accepted one may. Only Linux counts what this limits."""
        if sys.platform != "linux" or self._has_pytorch:
            return
        status = Path("/proc/self/status").read_text()
        used = int(status.split("VmData:")[1].split()[0]) * 1024
        limit = used + self._config.max_pixels * _BYTES_A_PIXEL + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


def _end_with_service(descriptor: int) -> None:
    """End the process soon after the service has hung up, whatever it is doing: loading, or decoding for ever."""
    poller = select.poll()
    poller.register(descriptor, 0)  # which leaves the end of the connection
    poller.poll()
    time.sleep(_HANG_UP_SECONDS)
    os._exit(1)


def send_frame(connection: socket.socket, kind: bytes, content: bytes) -> None:
    connection.sendall(FRAME.pack(kind, len(content)) + content)


def _read_frame(requests: BufferedReader) -> bytes:
    return _read(requests, LENGTH.unpack(_read(requests, LENGTH.size))[0])


def _read_batch(requests: BufferedReader, count: int) -> list[WorkItem]:
    headers = [*PICTURE.iter_unpack(_read(requests, count * PICTURE.size))]
    return [
        WorkItem(_read(requests, length), may_be_heavy, PredictionOptions(*options))
        for length, may_be_heavy, *options in headers
    ]


def _read(requests: BufferedReader, length: int) -> bytes:
    content = requests.read(length)
    if len(content) < length:
        raise ConnectionResetError("The service hung up in the middle of a message.")
    return content


if __name__ == "__main__":
    main()
