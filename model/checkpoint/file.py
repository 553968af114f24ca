"""The checkpoint: one safetensors file that holds a network and everything needed to use it.

Tensors: the network's state dict under its own names (weights as float16 where that loses nothing), and
`golden.picture.N` (an encoded file's bytes, uint8) with `golden.probabilities` (float32 `[pictures, classes]`), and,
where novelty was fitted, `novelty.prototypes` (float16) and `novelty.direction` (float32), and, of a cross-validation,
`held_out.logits` (float16), `held_out.folds` (uint8) and, after fine-tuning, `held_out.distances` (float32), and, if
classes can be added, `statistics.*` (`whisker.model.checkpoint.statistics`). The safetensors metadata holds one JSON
document under `whisker`. Nothing in the file is code, and nothing in it is executed.
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from whisker.model.answers.novelty import Novelty
from whisker.model.atomic_write import atomic_write
from whisker.model.checkpoint.contents import Checkpoint, Golden, HeldOut, Quantization
from whisker.model.checkpoint.integrity import check_tensors, content_digest, refuse
from whisker.model.checkpoint.statistics import PREFIX as STATISTICS
from whisker.model.checkpoint.statistics import read_statistics
from whisker.model.checkpoint.task import FORMAT_VERSIONS, read_task, read_thresholds, task_header
from whisker.model.errors import CheckpointError, ConfigError
from whisker.model.networks.config import NetworkConfig
from whisker.model.preprocessing import Preprocessing

_LATEST_VERSION = max(FORMAT_VERSIONS.values())
_HEADER = "whisker"
_GOLDEN = "golden."
_NOVELTY = "novelty."
_HELD_OUT = "held_out."
_NOT_OF_THE_NETWORK = (_GOLDEN, _NOVELTY, _HELD_OUT, STATISTICS)
_NOVELTY_NUMBERS = ("neighbours", "distance_weight", "typical", "threshold")


def is_checkpoint(metadata: Mapping[str, str]) -> bool:
    """Tell from a safetensors file's metadata whether it is a Whisker checkpoint, whole or damaged."""
    return _HEADER in metadata


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file whole or not at all.

    Raises `CheckpointError` when there are no golden answers to store or the file cannot be written.
    """
    if checkpoint.golden is None:
        raise CheckpointError("A checkpoint is saved with golden answers: add them with `with_golden_answers` first.")
    tensors = {name: _shrink(tensor.detach().cpu().contiguous()) for name, tensor in checkpoint.state.items()}
    for index, picture in enumerate(checkpoint.golden.pictures):
        tensors[f"{_GOLDEN}picture.{index}"] = torch.frombuffer(bytearray(picture), dtype=torch.uint8)
    tensors[f"{_GOLDEN}probabilities"] = checkpoint.golden.probabilities.contiguous()
    if checkpoint.novelty is not None:
        tensors[f"{_NOVELTY}prototypes"] = torch.from_numpy(checkpoint.novelty.prototypes).half()
        tensors[f"{_NOVELTY}direction"] = torch.from_numpy(checkpoint.novelty.direction)
    if checkpoint.held_out is not None:
        tensors[f"{_HELD_OUT}logits"] = torch.from_numpy(checkpoint.held_out.logits).half()
        tensors[f"{_HELD_OUT}folds"] = torch.from_numpy(checkpoint.held_out.folds).to(torch.uint8)
        if checkpoint.held_out.distances is not None:
            tensors[f"{_HELD_OUT}distances"] = torch.from_numpy(checkpoint.held_out.distances)
    if checkpoint.statistics is not None:
        tensors |= checkpoint.statistics.to_tensors()
    header = _to_header(checkpoint)
    header["digest"] = content_digest(header, tensors)
    # One entry only: safetensors writes several in random order, and equal checkpoints must be equal files.
    metadata = {_HEADER: json.dumps(header, sort_keys=True, ensure_ascii=False)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except (OSError, SafetensorError) as exc:
        raise CheckpointError(f"The checkpoint {path} cannot be written: {_reason(exc)}.") from exc


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a file; raise `CheckpointError` with one sentence that says what is wrong.

    Checked: the format and its version, every header field, the digest of header and tensors, and that names,
    shapes, dtypes and finiteness of the tensors are what the network needs.
    """
    try:
        if not path.is_file():
            raise CheckpointError(
                f"There is no checkpoint file at {path}: give the path of a file from `whisker train`."
            )
        data = path.read_bytes()  # once: what is hashed is what is used
        tensors = load(data)
        metadata = _metadata(data)
    except SafetensorError as exc:
        raise CheckpointError(
            f"{path} is not a safetensors file, or it is damaged: give a file that `whisker train` has written."
        ) from exc
    except OSError as exc:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {_reason(exc)}.") from exc
    try:
        header = _parse_header(metadata)
        if header.pop("digest", None) != content_digest(header, tensors):
            refuse("was changed or damaged after it was written: use an unaltered copy")
        checkpoint = _from_header(header, tensors)
        check_tensors(checkpoint.network, len(checkpoint.classes), checkpoint.state, checkpoint.novelty)
        if checkpoint.statistics is not None:
            checkpoint.statistics.check_width(checkpoint.state["fc.weight"].shape[1])
    except CheckpointError as exc:
        raise CheckpointError(f"The checkpoint {path} {exc}.") from exc
    return dataclasses.replace(checkpoint, sha256=hashlib.sha256(data).hexdigest())


def _shrink(tensor: Tensor) -> Tensor:
    """Store weights in half precision where that changes none of them, as those of transfers are rounded to it."""
    if tensor.dtype != torch.float32 or tensor.dim() < 2:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def _metadata(data: bytes) -> dict[str, str]:
    """Read the metadata of a safetensors file that has been found valid: a length, then a JSON header."""
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata


def _to_header(checkpoint: Checkpoint) -> dict[str, Any]:
    header = {
        **task_header(checkpoint),
        "name": checkpoint.name,
        "network": checkpoint.network.to_json(),
        "preprocessing": dataclasses.asdict(checkpoint.preprocessing),
        "classes": list(checkpoint.classes),
        "temperature": checkpoint.temperature,
        "novelty": None if checkpoint.novelty is None else _novelty_header(checkpoint.novelty),
        "quantization": None if checkpoint.quantization is None else dataclasses.asdict(checkpoint.quantization),
        "metrics": dict(checkpoint.metrics),
        "provenance": dict(checkpoint.provenance),
    }
    return cast(dict[str, Any], json.loads(json.dumps(header)))  # as it will read back: tuples become lists


def _novelty_header(novelty: Novelty) -> dict[str, float]:
    return {name: getattr(novelty, name) for name in _NOVELTY_NUMBERS}


def _parse_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    if _HEADER not in metadata:
        refuse("holds weights but no Whisker header: it was not written by `whisker train`")
    try:
        header = json.loads(metadata[_HEADER])
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        refuse("has a header that is not a JSON object")
    version = header.get("format_version")
    if not isinstance(version, int) or version < 1:
        refuse("has no format version in its header")
    if version > _LATEST_VERSION:
        refuse(f"has format version {version}, newer than the {_LATEST_VERSION} this Whisker reads: update Whisker")
    return header


def _from_header(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Checkpoint:
    try:
        preprocessing = dict(header["preprocessing"])
        preprocessing["background"] = tuple(preprocessing["background"])
        task, classes = read_task(header), _classes(header["classes"])
        return Checkpoint(
            name=str(header["name"]),
            network=NetworkConfig.from_json(header["network"]),
            preprocessing=Preprocessing(**preprocessing),
            classes=classes,
            state=_state(tensors),
            temperature=_positive(header["temperature"]),
            thresholds=read_thresholds(header["thresholds"], task, len(classes)),
            metrics=dict(header["metrics"]),
            provenance=dict(header["provenance"]),
            novelty=_novelty(header.get("novelty"), tensors),
            quantization=_quantization(header.get("quantization")),
            held_out=_held_out(tensors, len(classes)),
            statistics=read_statistics(tensors, len(classes)),
            golden=_golden(tensors, len(classes)),
            task=task,
        )
    except ConfigError as exc:
        refuse(f"cannot be used: {str(exc).rstrip('.')}", exc)
    except KeyError as exc:
        refuse(f"lacks {exc.args[0]!r} in its header", exc)
    except (TypeError, ValueError) as exc:
        refuse("has a header field of the wrong kind", exc)


def _state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_NOT_OF_THE_NETWORK)}
    return {
        name: tensor.float() if tensor.dtype == torch.float16 and tensor.dim() > 1 else tensor
        for name, tensor in own.items()
    }


def _classes(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        refuse("has class names that are not text")
    if len(names) < 2 or names != sorted(set(names)):
        refuse("has class names that are not sorted, or not two or more different ones")
    return tuple(names)


def _positive(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        refuse(f"has a temperature of {value!r}, where a number above 0 belongs")
    return float(value)


def _golden(tensors: Mapping[str, Tensor], classes: int) -> Golden:
    probabilities = tensors.get(f"{_GOLDEN}probabilities")
    if probabilities is None or probabilities.dim() != 2 or probabilities.shape[1] != classes or len(probabilities) < 1:
        refuse("has no golden answers to verify itself with")
    pictures = []
    for index in range(len(probabilities)):
        picture = tensors.get(f"{_GOLDEN}picture.{index}")
        if picture is None or picture.dtype != torch.uint8:
            refuse(f"lacks golden picture {index}")
        pictures.append(picture.numpy().tobytes())
    return Golden(tuple(pictures), probabilities.float())


def _held_out(tensors: Mapping[str, Tensor], classes: int) -> HeldOut | None:
    logits, folds, distances = (tensors.get(f"{_HELD_OUT}{name}") for name in ("logits", "folds", "distances"))
    if logits is None or folds is None:
        return None
    if logits.dim() != 3 or logits.shape[2] != classes or folds.shape != logits.shape[:2]:
        refuse("has answers for held-out photos in the wrong shape")
    if not torch.isfinite(logits).all():
        refuse("has NaN or infinity in its answers for held-out photos")
    if distances is not None and (distances.shape != folds.shape[1:] or not torch.isfinite(distances).all()):
        refuse("has distances of held-out photos that are not one number each")
    return HeldOut(
        logits.float().numpy(),
        folds.long().numpy(),
        None if distances is None else distances.float().numpy(),
    )


def _novelty(numbers: Mapping[str, Any] | None, tensors: Mapping[str, Tensor]) -> Novelty | None:
    if numbers is None:
        return None
    prototypes, direction = (tensors.get(f"{_NOVELTY}{name}") for name in ("prototypes", "direction"))
    if prototypes is None or direction is None or prototypes.dim() != 2 or direction.shape != prototypes.shape[1:]:
        refuse("lacks the tensors of its novelty measure, or has them in the wrong shape")
    neighbours, *others = (numbers[name] for name in _NOVELTY_NUMBERS)
    if not isinstance(neighbours, int) or not 1 <= neighbours <= len(prototypes):
        refuse(f"compares with {neighbours!r} prototypes, where it has {len(prototypes)}")
    distance_weight, typical, threshold = (float(value) for value in others)
    arrays = prototypes.float().numpy(), direction.float().numpy()
    novelty = Novelty(*arrays, neighbours, distance_weight, typical, threshold)
    if not all(math.isfinite(value) for value in (distance_weight, typical, threshold)):
        refuse("has NaN or infinity in its novelty measure")
    return novelty


def _quantization(values: Mapping[str, Any] | None) -> Quantization | None:
    if values is None:
        return None
    ranges = {str(name): (float(low), float(high)) for name, (low, high) in values["ranges"].items()}
    costs = (float(values["points_lost"]), float(values["mean_difference"]))
    if not all(math.isfinite(number) for number in (*itertools.chain(*ranges.values()), *costs)):
        refuse("has NaN or infinity in its quantisation")
    return Quantization(ranges, *costs)


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc).rstrip(".")
