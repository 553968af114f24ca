"""An inference worker: a process that decodes pictures and predicts, one batch after the other.

`python -m whisker.app.inference.worker FD` talks over the socket FD with the service that started it, as
`whisker.app.inference.wire` describes. Most workers need no PyTorch, and so none is imported at the top.
"""

import contextlib
import gc
import json
import os
import pickle
import resource
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, cast

from whisker.app.inference.batch_handler import answer_batch
from whisker.app.inference.child_signals import LEFT, ignore
from whisker.app.inference.wire import LENGTH, PICTURE, Greeting, PredictionOptions, WorkerConfig, WorkItem
from whisker.model.card.document import CheckpointCard, JsonValue, LabelThreshold
from whisker.model.errors import WhiskerError
from whisker.model.exported import ExportedClassifier
from whisker.model.predictor import Predictor

if TYPE_CHECKING:
    from whisker.model.checkpoint.contents import Checkpoint
    from whisker.model.classifier import Classifier

_BYTES_A_PIXEL = 24  # allowed for decoding: three times what it takes
_SPARE_BYTES = 256_000_000
_HANG_UP_SECONDS = 1.0  # to end by itself when the service has hung up
_NICENESS = 5  # the HTTP process goes first: it keeps all workers busy


@dataclass(frozen=True, slots=True)
class Opened:
    """A predictor that is ready, the seconds that a batch of each size takes and, if it was loaded, its card.

    `exported` is what another worker needs to be like this one without PyTorch; empty if that is impossible.
    """

    predictor: Predictor
    batch_seconds: dict[int, float]
    card: CheckpointCard | None = None
    exported: bytes = b""


def main() -> None:
    """Serve the socket whose number is the only argument until it is closed."""
    ignore(LEFT)
    Thread(target=_end_with_service, args=(int(sys.argv[1]),), name="hang-up", daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as connection, contextlib.suppress(ConnectionError):
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Open what the configuration asks for, greet, and answer batches until the other side hangs up."""
    requests = connection.makefile("rb")
    config: WorkerConfig = pickle.loads(_read_frame(requests))  # noqa: S301 - from the process that started this one
    try:
        opened = _load(config) if config.exported is None else _unpack(config, config.exported)
    except WhiskerError as exc:
        _greet(connection, {"failed": (type(exc).__name__, str(exc))})
        return
    seconds = {str(size): taken for size, taken in opened.batch_seconds.items()}
    _greet(connection, {"ready": {"batch_seconds": seconds, "card": opened.card}})
    send_frame(connection, opened.exported)
    predictor, max_pixels = opened.predictor, config.max_pixels
    if config.exported is not None:
        _limit_memory(max_pixels)
    del config, opened  # they hold the network once more
    gc.collect()
    gc.freeze()
    os.nice(_NICENESS)
    while batch := _read_batch(requests):
        document, drawings = answer_batch(predictor, batch, max_pixels)
        send_frame(connection, json.dumps(document).encode())
        for drawing in drawings:
            send_frame(connection, drawing)


def _end_with_service(descriptor: int) -> None:
    """End the process soon after the service has hung up, whatever it is doing: loading, or decoding for ever."""
    poller = select.poll()
    poller.register(descriptor, 0)  # which leaves the end of the connection
    poller.poll()
    time.sleep(_HANG_UP_SECONDS)
    os._exit(1)


def send_frame(connection: socket.socket, content: bytes) -> None:
    connection.sendall(LENGTH.pack(len(content)) + content)


def _greet(connection: socket.socket, greeting: Greeting) -> None:
    send_frame(connection, json.dumps(greeting).encode())


def _limit_memory(max_pixels: int) -> None:
    """Let no picture take more memory than the largest accepted one may need. Only Linux counts what this limits."""
    if sys.platform != "linux":
        return
    status = Path("/proc/self/status").read_text()
    used = int(status.split("VmData:")[1].split()[0]) * 1024
    limit = used + max_pixels * _BYTES_A_PIXEL + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _load(config: WorkerConfig) -> Opened:
    """Load the checkpoint with PyTorch, and choose its engine."""
    import torch  # noqa: PLC0415 - most lanes do without

    from whisker.app.logs import configure_logging, flush_log  # noqa: PLC0415
    from whisker.model.classifier import Classifier  # noqa: PLC0415

    configure_logging(config, http_worker=config.http_worker)
    torch.set_num_threads(config.threads)
    try:
        classifier = Classifier.load(config.checkpoint, config.device, engine=config.engine, signed_by=config.signed_by)
    finally:
        flush_log()  # the service ends this process as soon as it has greeted
    exported = classifier.exported()
    packed = b"" if exported is None else pickle.dumps(exported)
    return Opened(classifier, dict(classifier.batch_seconds), _card(classifier), packed)


def _unpack(config: WorkerConfig, packed: bytes) -> Opened:
    exported: ExportedClassifier = pickle.loads(packed)  # noqa: S301 - from a worker that has seen no upload
    return Opened(*exported.open(threads=config.threads, largest=config.max_batch))


def _card(classifier: "Classifier") -> CheckpointCard:
    """Describe the checkpoint."""
    checkpoint = classifier.checkpoint
    is_single = checkpoint.task == "single-label"
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "device": classifier.device,
        "engine": classifier.engine,
        "task": checkpoint.task,
        "classes": list(checkpoint.classes),
        "preprocessing": asdict(checkpoint.preprocessing),
        "network": checkpoint.network.to_json(),
        "temperature": checkpoint.temperature,
        "unsure": checkpoint.thresholds.unsure if is_single else None,
        "shown": checkpoint.thresholds.shown if is_single else None,
        "label_thresholds": None if is_single else _label_thresholds(checkpoint),
        "knows_novelty": checkpoint.novelty is not None,
        "has_heat_maps": checkpoint.network.has_feature_map,
        "metrics": cast("dict[str, JsonValue]", dict(checkpoint.metrics)),
        "provenance": cast("dict[str, JsonValue]", dict(checkpoint.provenance)),
    }


def _label_thresholds(checkpoint: "Checkpoint") -> list[LabelThreshold]:
    thresholds = checkpoint.thresholds
    rows = zip(checkpoint.classes, thresholds.labels, thresholds.guaranteed, strict=True)
    return [{"label": name, "threshold": score, "guaranteed": guaranteed} for name, score, guaranteed in rows]


def _read_frame(requests: BufferedReader) -> bytes:
    return _read(requests, LENGTH.unpack(_read(requests, LENGTH.size))[0])


def _read_batch(requests: BufferedReader) -> list[WorkItem]:
    """Read a batch; it is empty when the other side has hung up."""
    start = requests.read(LENGTH.size)
    if len(start) < LENGTH.size:
        return []
    headers = [*PICTURE.iter_unpack(_read(requests, LENGTH.unpack(start)[0] * PICTURE.size))]
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
