"""Checkpoints that should not be served, and one whose network answers for some pictures only."""

import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load, save

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

_CLASSES = ("cat", "dog")
_SIDE = 32  # pixels


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
