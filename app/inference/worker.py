"""A lane: a process that decodes pictures and computes their answers, one batch after the other. Knows no HTTP.

`python -m whisker.app.inference.worker FD` talks over the socket FD with the service that started it (`whisker.app.inference.worker_pool`). Down come an `Order`,
pickled, and then batches; up come JSON documents, which cannot harm the service even if a hostile picture has taken
this process over. Every message but a batch is a frame: its length, then its bytes.
"""

import contextlib
import gc
import json
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from whisker.app.inference.batch_handler import Ask, Document, Task, answer
from whisker.model.errors import WhiskerError
from whisker.model.exported import Portable
from whisker.model.predictor import Predictor

if TYPE_CHECKING:
    from whisker.model.classifier import Classifier

LENGTH = struct.Struct("<I")  # of a frame in bytes, or of a batch in pictures
PICTURE = struct.Struct("<I?Iif")  # the file's length in bytes, whether it may be heavy, and what is asked
_BYTES_A_PIXEL = 24  # that decoding may take, three times what it does
_SPARE_BYTES = 256_000_000
_NICENESS = 5  # the service itself goes first: it keeps all lanes busy


@dataclass(frozen=True, slots=True)
class Order:
    """What a lane shall do: be what is `portable`, or, without it, load the checkpoint."""

    checkpoint: Path
    device: str
    engine: str
    threads: int
    max_batch: int
    max_pixels: int
    log_format: str
    log_level: str
    worker: int | None = None  # the process id of the service, where there are several
    portable: bytes | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A predictor that is ready, the seconds a batch of each size takes, and what the service wants to know of it."""

    predictor: Predictor
    batch_seconds: dict[int, float]
    card: Document | None = None
    portable: bytes = b""


def main() -> None:
    """Serve the socket whose number is the only argument until it is closed."""
    for name in (signal.SIGINT, signal.SIGTERM):  # both are for the service, which closes the socket in its time
        signal.signal(name, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection, contextlib.suppress(ConnectionError):
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Open what the order asks for, say so or why not, and answer batches until the other side hangs up."""
    requests = connection.makefile("rb")
    order: Order = pickle.loads(_read_frame(requests))  # noqa: S301 - from the process that started this one
    try:
        opened = _load(order) if order.portable is None else _unpack(order, order.portable)
    except WhiskerError as exc:
        send_frame(connection, json.dumps({"failed": [type(exc).__name__, str(exc)]}).encode())
        return
    ready = {"batch_seconds": opened.batch_seconds, "card": opened.card}
    send_frame(connection, json.dumps({"ready": ready}).encode())
    send_frame(connection, opened.portable)
    predictor, max_pixels = opened.predictor, order.max_pixels
    if order.portable is not None:
        _limit_memory(max_pixels)
    del order, opened  # they hold the network once more
    gc.collect()
    gc.freeze()
    os.nice(_NICENESS)
    while batch := _read_batch(requests):
        send_frame(connection, json.dumps(answer(predictor, batch, max_pixels)).encode())


def _limit_memory(max_pixels: int) -> None:
    """Let no picture take more memory than the largest that is accepted may need."""
    if sys.platform != "linux":
        return
    status = Path("/proc/self/status").read_text()
    used = int(status.split("VmData:")[1].split()[0]) * 1024
    limit = used + max_pixels * _BYTES_A_PIXEL + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def send_frame(connection: socket.socket, content: bytes) -> None:
    connection.sendall(LENGTH.pack(len(content)) + content)


def _load(order: Order) -> Opened:
    """Load the checkpoint with PyTorch, choosing its engine."""
    import torch  # noqa: PLC0415 - most lanes do without

    from whisker.app.logs import configure_logging  # noqa: PLC0415
    from whisker.model.classifier import Classifier  # noqa: PLC0415

    configure_logging(order, worker=order.worker)
    torch.set_num_threads(order.threads)
    classifier = Classifier.load(order.checkpoint, order.device, engine=order.engine)
    portable = classifier.portable()
    packed = b"" if portable is None else pickle.dumps(portable)
    return Opened(classifier, dict(classifier.batch_seconds), _card(classifier), packed)


def _unpack(order: Order, packed: bytes) -> Opened:
    portable: Portable = pickle.loads(packed)  # noqa: S301 - from a lane that has seen no upload
    return Opened(*portable.open(threads=order.threads, largest=order.max_batch))


def _card(classifier: "Classifier") -> Document:
    """Describe the checkpoint, as JSON can."""
    checkpoint = classifier.checkpoint
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "device": classifier.device,
        "engine": classifier.engine,
        "classes": checkpoint.classes,
        "preprocessing": asdict(checkpoint.preprocessing),
        "network": asdict(checkpoint.network),
        "temperature": checkpoint.temperature,
        "unsure": checkpoint.thresholds.unsure,
        "knows_novelty": checkpoint.novelty is not None,
        "has_heat_maps": checkpoint.network.has_feature_map,
        "metrics": checkpoint.metrics,
        "provenance": checkpoint.provenance,
    }


def _read_frame(requests: BufferedReader) -> bytes:
    return _read(requests, LENGTH.unpack(_read(requests, LENGTH.size))[0])


def _read_batch(requests: BufferedReader) -> list[Task]:
    """Read a batch; it is empty when the other side has hung up."""
    start = requests.read(LENGTH.size)
    if len(start) < LENGTH.size:
        return []
    heads = PICTURE.iter_unpack(_read(requests, LENGTH.unpack(start)[0] * PICTURE.size))
    return [Task(_read(requests, length), may_be_heavy, Ask(*asked)) for length, may_be_heavy, *asked in [*heads]]


def _read(requests: BufferedReader, length: int) -> bytes:
    content = requests.read(length)
    if len(content) < length:
        raise ConnectionResetError("The service hung up in the middle of a message.")
    return content


if __name__ == "__main__":
    main()
