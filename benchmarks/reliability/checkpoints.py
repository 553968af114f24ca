"""Checkpoints that should not be served, and one whose network answers for some pictures only."""

import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

from whisker.model import (
    Checkpoint,
    Classifier,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_checkpoint,
    save_checkpoint,
)
from whisker.model.checkpoint.contents import Golden
from whisker.model.checkpoint.integrity import content_digest

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]

_CLASSES = ("cat", "dog")
_SIDE = 32  # pixels
_SCAN, _END = b"\xff\xda", b"\xff\xd9"  # markers of a JPEG
_BOMB_SIDE, _BOMB_SCANS = 4_500, 250
_DEPTH = 10_000
_HUGE_HEADER_BYTES = 90_000_000


class _Payload:
    """Makes a directory if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._path),)


def write_fragile(path: Path, black: bytes) -> None:
    """Write a checkpoint that answers for black pictures, as `black` is; brighter ones overflow to infinity."""
    config = NetworkConfig(family="mlp", width=2, depth=1, size=_SIDE)
    state = build_network(config, len(_CLASSES)).state_dict()
    state["normalization.mean"].fill_(0.0)
    state["normalization.std"].fill_(1e-30)
    state["hidden.0.weight"].fill_(1e30)
    state["fc.weight"].fill_(1.0)
    checkpoint = Checkpoint(
        name="fragile", network=config, preprocessing=Preprocessing(_SIDE), classes=_CLASSES, state=state
    )
    golden = Golden((black,), Classifier(checkpoint).answers([black]))
    save_checkpoint(replace(checkpoint, golden=golden), path)


def bad_checkpoints(good: Path, trap: Path) -> Iterator[tuple[str, bytes]]:
    """Make files that are no checkpoint any more, by what was done to them; one that is unpickled makes `trap`."""
    data = good.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:length])
    yield "empty", b""
    yield "text", b"not a checkpoint\n" * 100
    yield "truncated", data[: len(data) // 2]
    yield "truncated in its header", data[: length // 2]
    yield "a byte altered", data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:]
    yield "a class renamed", data.replace(b"classes", b"klasses", 1)
    yield "an endless header", (2**62).to_bytes(8, "little") + data[8:]
    yield "a header of brackets", _framed(b"[" * 100_000) + data[length:]
    header["__metadata__"]["whisker"] = "{" + '"a":{' * 50_000
    yield "a nested header", _framed(json.dumps(header).encode()) + data[length:]
    yield "weights alone", save(load(data))
    yield "not a number", _with_nan(good)
    yield "pickled", pickle.dumps(_Payload(trap))
    yield "pickled by PyTorch", _saved_by_pytorch(trap)


def forged_checkpoints(good: Path, *, header_bytes: int = _HUGE_HEADER_BYTES) -> Iterator[tuple[str, bytes]]:
    """Make files with a digest that is right, by what they hold: somebody with the right tools made them to harm."""
    data = good.read_bytes()
    for name, change in _FORGERIES.items():
        yield name, forge(data, change)
    header = json.loads(_header(data))["__metadata__"]["whisker"]
    yield "a key twice", _with_header(data, '{"name": "other", ' + header[1:])
    yield "nested 10,000 deep", _with_header(data, '{"metrics": ' + "[" * _DEPTH + "]" * _DEPTH + ", " + header[1:])
    yield "a header that is too large", _with_header(data, '{"more": "' + "x" * header_bytes + '", ' + header[1:])


def forge(data: bytes, change: Change) -> bytes:
    """Change header and tensors of a checkpoint file, and make the digest right again."""
    header: dict[str, Any] = json.loads(json.loads(_header(data))["__metadata__"]["whisker"])
    tensors = load(data)
    change(header, tensors)
    header.pop("digest", None)
    header["digest"] = content_digest(header, tensors)
    return save(tensors, metadata={"whisker": json.dumps(header)})


def scan_bomb(side: int = _BOMB_SIDE, scans: int = _BOMB_SCANS) -> bytes:
    """Make a progressive JPEG that is small as a file, and decoded as often as it has scans."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), "grey").save(buffer, "JPEG", progressive=True)
    start, *parts = buffer.getvalue().removesuffix(_END).split(_SCAN)
    return start + (_SCAN + parts[0]) * scans + _END


def _bomb(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    tensors["golden.picture.0"] = torch.frombuffer(bytearray(scan_bomb()), dtype=torch.uint8)


def _many_golden_pictures(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    count = 500
    tensors["golden.probabilities"] = tensors["golden.probabilities"][:1].repeat(count, 1)
    for index in range(count):
        tensors[f"golden.picture.{index}"] = tensors["golden.picture.0"].clone()


_FORGERIES: dict[str, Change] = {
    "a golden picture of 250 scans": _bomb,
    "500 golden pictures": _many_golden_pictures,
    "ranges that are a list": lambda header, _: header.update(quantization={"ranges": [], "points_lost": 0}),
    "an infinite figure": lambda header, _: header["metrics"].update(test={"accuracy": float("inf")}),
    "half a character": lambda header, _: header["provenance"].update(date="\ud800"),
    "a temperature of 400 digits": lambda header, _: header.update(temperature=10**400),
    "a class name that moves the cursor": lambda header, _: header.update(classes=["\x1b[2J", *header["classes"][1:]]),
    "a scalar instead of weights": lambda _, tensors: tensors.update({"fc.weight": torch.tensor(1.0)}),
    "8-bit floating point": lambda _, tensors: tensors.update({"fc.bias": tensors["fc.bias"].to(torch.float8_e4m3fn)}),
    "complex numbers": lambda _, tensors: tensors.update({"fc.bias": tensors["fc.bias"].to(torch.complex64)}),
    "a network of fractions": lambda header, _: header["network"].update(channels=3.0),
}


def _with_header(data: bytes, document: str) -> bytes:
    """Put another text in the place of a checkpoint's own header."""
    header = json.loads(_header(data))
    header["__metadata__"] = {"whisker": document}
    return _framed(json.dumps(header).encode()) + data[8 + len(_header(data)) :]


def _header(data: bytes) -> bytes:
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def _framed(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def _with_nan(good: Path) -> bytes:
    """Write the checkpoint anew, digest and all, with a weight that is not a number."""
    checkpoint, path = load_checkpoint(good), good.with_suffix(".nan")
    state = {name: tensor.clone() for name, tensor in checkpoint.state.items()}
    state["fc.weight"].view(-1)[0] = torch.nan
    save_checkpoint(replace(checkpoint, state=state), path)
    return path.read_bytes()


def _saved_by_pytorch(trap: Path) -> bytes:
    path = trap.with_suffix(".pt")
    torch.save(_Payload(trap), path)
    return path.read_bytes()
