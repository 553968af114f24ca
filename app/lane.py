"""A lane: a process that decodes pictures and computes their answers, one batch after the other. Knows no HTTP.

`python -m app.lane FD` talks over the socket FD with the service that started it (`app.lanes`). Down come an `Order`,
pickled, and then batches; up come JSON documents, which cannot harm the service even if a hostile picture has taken
this process over. Every message but a batch is a frame: its length, then its bytes.
"""

import base64
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
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from model.answers import HeatMap, Prediction
from model.errors import PictureError, WhiskerError
from model.explain import NOTHING, overlay
from model.portable import Portable
from model.predictor import Predictor
from model.preprocessing import Picture, Preprocessing

if TYPE_CHECKING:
    from model.classifier import Classifier

LENGTH = struct.Struct("<I")  # of a frame in bytes, or of a batch in pictures
PICTURE = struct.Struct("<I?Iif")  # the file's length in bytes, whether it may be heavy, and what is asked
NO_RENDERING = -1.0
_RENDERED_SIDE = 800  # pixels of a rendering's longer side, at most
_LIGHT_BYTES = 64_000_000  # that decoding may take while other lanes decode, too
_BYTES_A_PIXEL = 24  # that decoding may take, three times what it does
_SPARE_BYTES = 256_000_000
_HEAT_DECIMALS = 4
_COMPRESSION = 1  # of 9: photos under colours hardly get smaller with more
_QUALITY = 92  # of a JPEG, in percent
_NICENESS = 5  # the service itself goes first: it keeps all lanes busy

Document = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted of a picture: how many classes, a heat map for a class, and a rendering.

    `explain` is a class's number, `TOP` or `NOTHING`. A rendering is the picture upright, as JPEG, or with the heat map
    over it, at an opacity `render` of 0 to 1, as PNG.
    """

    top_k: int
    explain: int = NOTHING
    render: float = NO_RENDERING


@dataclass(frozen=True, slots=True)
class _Task:
    """A picture to answer for."""

    data: bytes
    may_be_heavy: bool
    ask: Ask


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A picture as the network sees it and, if it is wanted, as people do."""

    picture: Picture
    view: Image.Image | None


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
        send_frame(connection, json.dumps(_answer(predictor, batch, max_pixels)).encode())


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

    from app.logs import configure_logging  # noqa: PLC0415
    from model.classifier import Classifier  # noqa: PLC0415

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


def _read_batch(requests: BufferedReader) -> list[_Task]:
    """Read a batch; it is empty when the other side has hung up."""
    start = requests.read(LENGTH.size)
    if len(start) < LENGTH.size:
        return []
    heads = PICTURE.iter_unpack(_read(requests, LENGTH.unpack(start)[0] * PICTURE.size))
    return [_Task(_read(requests, length), may_be_heavy, Ask(*asked)) for length, may_be_heavy, *asked in [*heads]]


def _read(requests: BufferedReader, length: int) -> bytes:
    content = requests.read(length)
    if len(content) < length:
        raise ConnectionResetError("The service hung up in the middle of a message.")
    return content


def _answer(predictor: Predictor, batch: Sequence[_Task], max_pixels: int) -> Document:
    """Decode a batch, and compute answers for what could be decoded."""
    read = [_decode(predictor.preprocessing, task, max_pixels) for task in batch]
    usable = [(found, task) for (found, _), task in zip(read, batch, strict=True) if isinstance(found, _Decoded)]
    started = time.perf_counter()
    outcomes: Iterator[Prediction | Exception] = iter(
        predictor.predict_each([found.picture.pixels for found, _ in usable], [task.ask.explain for _, task in usable])
    )
    seconds = time.perf_counter() - started
    answers = []
    for task, (found, decode_seconds) in zip(batch, read, strict=True):
        document = _finish(next(outcomes), found, task.ask) if isinstance(found, _Decoded) else found
        answers.append(document | {"decode_seconds": decode_seconds})
    return {"answers": answers, "inference_seconds": seconds}


def _decode(preprocessing: Preprocessing, task: _Task, max_pixels: int) -> tuple[_Decoded | Document, float]:
    started = time.perf_counter()
    light_bytes = None if task.may_be_heavy else _LIGHT_BYTES
    try:
        picture = preprocessing.read(task.data, max_pixels=max_pixels, light_bytes=light_bytes)
        view = None
        if task.ask.render != NO_RENDERING:
            view = preprocessing.view(task.data, longest=_RENDERED_SIDE, max_pixels=max_pixels, light_bytes=light_bytes)
        found: _Decoded | Document = _Decoded(picture, view)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is this picture's alone
        found = _describe(exc)  # and not kept itself: it holds on to what was decoded
    return found, time.perf_counter() - started


def _describe(exc: Exception) -> Document:
    """Write down what went wrong: for errors of our own their name and sentence."""
    if isinstance(exc, PictureError):
        return {"refused": [type(exc).__name__, str(exc)]}
    return {"failure": "".join(traceback.format_exception(exc))}


def _finish(outcome: Prediction | Exception, found: _Decoded, ask: Ask) -> Document:
    """Write an answer, or what went wrong with it."""
    try:
        return _describe(outcome) if isinstance(outcome, Exception) else _document(outcome, found, ask)
    except Exception as exc:  # noqa: BLE001 - as above
        return _describe(exc)


def _document(outcome: Prediction, found: _Decoded, ask: Ask) -> Document:
    """Write an answer as it goes to the client, and the rendering beside it."""
    picture, heat_map = found.picture, outcome.heat_map
    prediction = {
        "label": outcome.label,
        "score": outcome.score,
        "verdict": outcome.verdict,
        "unknown_score": outcome.unknown_score,
        "predictions": [{"label": it.label, "score": it.score} for it in outcome.predictions[: ask.top_k]],
        "image": {"width": picture.width, "height": picture.height, "format": picture.format},
    }
    if heat_map is not None:
        prediction["heat_map"] = {"label": heat_map.label, "rows": heat_map.heat.round(_HEAT_DECIMALS).tolist()}
    if found.view is None:
        return {"prediction": prediction}
    return {"prediction": prediction, "rendering": _render(found.view, heat_map, ask.render)}


def _render(view: Image.Image, heat_map: HeatMap | None, opacity: float) -> str:
    """Encode a picture, with a heat map over it if there is one; give the file in Base64."""
    buffer = BytesIO()
    if heat_map is None:
        view.save(buffer, "JPEG", quality=_QUALITY)
    else:
        overlay(view, heat_map.heat, opacity=opacity).save(buffer, "PNG", compress_level=_COMPRESSION)
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    main()
