"""The checkpoint: one safetensors file that holds a network and everything needed to use it.

Tensors: the network's state dict under its own names (weights as float16 where that loses nothing), and
`golden.picture.N` (an encoded file's bytes, uint8) with `golden.probabilities` (float32 `[pictures, classes]`), and,
where novelty was fitted, `novelty.prototypes` (float16) and `novelty.direction` (float32), and, of a cross-validation,
`held_out.logits` (float16), `held_out.folds` (uint8) and, after fine-tuning, `held_out.distances` (float32), and, if
classes can be added, `statistics.*` (`whisker.model.checkpoint.statistics`). The safetensors metadata holds one JSON
document under `whisker`, or it is a tensor (`whisker.model.checkpoint.document`). Nothing in the file is code, and
nothing in it is executed. An imported classifier has `onnx.graph` (the bytes of an ONNX file, uint8), `fc.weight` and
`fc.bias` as its state.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from whisker.model.answers.novelty import Novelty
from whisker.model.atomic_write import atomic_write
from whisker.model.checkpoint.container import Container, read_container
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.checkpoint.document import KEY, find_document, place_document
from whisker.model.checkpoint.integrity import check_tensors, content_digest
from whisker.model.checkpoint.json_object import plain_json, refuse
from whisker.model.checkpoint.parts import GOLDEN, HELD_OUT, NOVELTY, NOVELTY_NUMBERS, quantization_header, read_parts
from whisker.model.checkpoint.task import LATEST_VERSION, task_header
from whisker.model.errors import CheckpointError, ConfigError

# What a header or tensors of wrong kinds make their readers raise, beside what these refuse.
_WRONG_KIND = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RuntimeError)


def is_checkpoint(metadata: Mapping[str, str]) -> bool:
    """Tell from a safetensors file's metadata whether it is a Whisker checkpoint, whole or damaged."""
    return KEY in metadata


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file whole or not at all.

    Raises `CheckpointError` when there are no golden answers to store or the file cannot be written.
    """
    if checkpoint.golden is None:
        raise CheckpointError("A checkpoint is saved with golden answers: add them with `with_golden_answers` first.")
    tensors = {name: _shrink(tensor.detach().cpu().contiguous()) for name, tensor in checkpoint.state.items()}
    for index, picture in enumerate(checkpoint.golden.pictures):
        tensors[f"{GOLDEN}picture.{index}"] = torch.frombuffer(bytearray(picture), dtype=torch.uint8)
    tensors[f"{GOLDEN}probabilities"] = checkpoint.golden.probabilities.contiguous()
    if checkpoint.novelty is not None:
        tensors[f"{NOVELTY}prototypes"] = torch.from_numpy(checkpoint.novelty.prototypes).half()
        tensors[f"{NOVELTY}direction"] = torch.from_numpy(checkpoint.novelty.direction)
    if checkpoint.held_out is not None:
        tensors[f"{HELD_OUT}logits"] = torch.from_numpy(checkpoint.held_out.logits).half()
        tensors[f"{HELD_OUT}folds"] = torch.from_numpy(checkpoint.held_out.folds).to(torch.uint8)
        if checkpoint.held_out.distances is not None:
            tensors[f"{HELD_OUT}distances"] = torch.from_numpy(checkpoint.held_out.distances)
    if checkpoint.statistics is not None:
        tensors |= checkpoint.statistics.to_tensors()
    header = _to_header(checkpoint)
    header["digest"] = content_digest(header, tensors)
    try:
        metadata, document = place_document(header)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode  # of any new file; safetensors would let nobody but its owner read it
            save_file(tensors | document, temporary, metadata=metadata)
            temporary.chmod(mode)
    except CheckpointError as exc:
        raise CheckpointError(f"The checkpoint {path} {exc}.") from exc
    except (OSError, SafetensorError) as exc:
        raise CheckpointError(f"The checkpoint {path} cannot be written: {_reason(exc)}.") from exc


def load_checkpoint(path: Path, *, signed_by: Path | None = None) -> Checkpoint:
    """Read and check a file; raise `CheckpointError` with one sentence that says what is wrong.

    With `signed_by`, a file of a public key or of certificates, first of all its signature (`SignatureError`, and
    `ConfigError` without a usable key or the extra `signing`).

    Checked: the format and its version, every header field, the digest of header and tensors, and that names,
    shapes, dtypes and finiteness of the tensors are what the network needs.
    """
    container = read_container(path, signed_by=signed_by)
    try:
        checkpoint = _read(container)
    except CheckpointError as exc:
        raise CheckpointError(f"The checkpoint {path} {exc}.") from exc
    return replace(checkpoint, sha256=container.sha256)


def _read(container: Container) -> Checkpoint:
    """Read what a file holds; raise `CheckpointError` with the end of a sentence."""
    header, tensors = _parse_header(container)
    if header.pop("digest", None) != content_digest(header, tensors):
        refuse("was changed or damaged after it was written: use an unaltered copy")
    try:
        checkpoint = read_parts(header, tensors)
        check_tensors(checkpoint.network, len(checkpoint.classes), checkpoint.state, checkpoint.novelty)
        if checkpoint.statistics is not None:
            checkpoint.statistics.check_width(checkpoint.state["fc.weight"].shape[1])
    except ConfigError as exc:
        refuse(f"cannot be used: {str(exc).rstrip('.')}", exc)
    except KeyError as exc:
        refuse(f"lacks {exc.args[0]!r} in its header", exc)
    except _WRONG_KIND as exc:
        refuse("has a header field of the wrong kind", exc)
    return checkpoint


def _shrink(tensor: Tensor) -> Tensor:
    """Store weights in half precision where that changes none of them, as those of transfers are rounded to it."""
    if tensor.dtype != torch.float32 or tensor.dim() < 2:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def _to_header(checkpoint: Checkpoint) -> dict[str, Any]:
    header = {
        **task_header(checkpoint),
        "name": checkpoint.name,
        "network": checkpoint.network.to_json(),
        "preprocessing": checkpoint.preprocessing.to_json(),
        "classes": list(checkpoint.classes),
        "temperature": checkpoint.temperature,
        "novelty": None if checkpoint.novelty is None else _novelty_header(checkpoint.novelty),
        "quantization": None if checkpoint.quantization is None else quantization_header(checkpoint.quantization),
        "metrics": dict(checkpoint.metrics),
        "provenance": dict(checkpoint.provenance),
    }
    return cast("dict[str, Any]", plain_json(header))


def _novelty_header(novelty: Novelty) -> dict[str, float]:
    return {name: getattr(novelty, name) for name in NOVELTY_NUMBERS}


def _parse_header(container: Container) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """Find the header, with a version that can be read, and the tensors beside it."""
    if KEY not in container.metadata:
        refuse("holds weights but no Whisker header: it was not written by `whisker train`")
    header, tensors = find_document(container.metadata, container.tensors)
    version = header.get("format_version")
    if type(version) is not int or version < 1:
        refuse("has no format version in its header")
    if version > LATEST_VERSION:
        refuse(f"has format version {version}, newer than the {LATEST_VERSION} this Whisker reads: update Whisker")
    return header, tensors


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc).rstrip(".")
