"""The parts of a checkpoint, read from its header and its tensors; each refuses what it cannot use."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whisker.model.answers.novelty import Novelty
from whisker.model.checkpoint.contents import Checkpoint, Golden, HeldOut, Int8Cost, Quantization
from whisker.model.checkpoint.golden import MAX_BYTES, MAX_PICTURES, require_small
from whisker.model.checkpoint.json_object import read_number, read_object, refuse, shown
from whisker.model.checkpoint.statistics import PREFIX as STATISTICS
from whisker.model.checkpoint.statistics import read_statistics
from whisker.model.checkpoint.task import is_imported, read_task, read_thresholds
from whisker.model.networks.config import NetworkConfig
from whisker.model.onnx.config import GraphConfig
from whisker.model.plain_text import is_safe
from whisker.model.preprocessing import Preprocessing

GOLDEN = "golden."
NOVELTY = "novelty."
HELD_OUT = "held_out."
NOVELTY_NUMBERS = ("neighbours", "distance_weight", "typical", "threshold")
_NOT_OF_THE_NETWORK = (GOLDEN, NOVELTY, HELD_OUT, STATISTICS)
_MAX_NAME = 255  # characters
_MIN_TEMPERATURE = 1e-6
_LARGE = 1e9  # more than any distance, weight or input of a layer is; their products still are no infinity


def read_parts(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Checkpoint:
    """Read all parts; raise `CheckpointError`, `ConfigError`, or what values of wrong kinds make Python raise."""
    task, classes = read_task(header), _classes(header["classes"])
    values = read_object(header["network"], "network")
    network = GraphConfig.from_json(values) if is_imported(header) else NetworkConfig.from_json(values)
    return Checkpoint(
        name=_name(header["name"]),
        network=network,
        preprocessing=_preprocessing(read_object(header["preprocessing"], "preprocessing"), network),
        classes=classes,
        state=_state(tensors),
        temperature=_temperature(header["temperature"]),
        thresholds=read_thresholds(read_object(header["thresholds"], "thresholds"), task, len(classes)),
        metrics=read_object(header["metrics"], "metrics"),
        provenance=read_object(header["provenance"], "provenance"),
        novelty=_novelty(header.get("novelty"), tensors),
        quantization=_quantization(header.get("quantization")),
        held_out=_held_out(tensors, len(classes)),
        statistics=read_statistics(tensors, len(classes)),
        golden=_golden(tensors, len(classes)),
        task=task,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not is_safe(value):
        refuse(f"has {shown(value)} as its name, where 1 to {_MAX_NAME} printable characters belong")
    return value


def _classes(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        refuse("has class names that are not text")
    if len(names) < 2 or names != sorted(set(names)):
        refuse("has class names that are not sorted, or not two or more different ones")
    odd = next((name for name in names if not is_safe(name)), None)
    if odd is not None:
        refuse(f"has the class name {shown(odd)}, which cannot be printed")
    return tuple(names)


def _preprocessing(values: Mapping[str, Any], network: NetworkConfig | GraphConfig) -> Preprocessing:
    background = values["background"]
    if not isinstance(background, list) or not all(type(value) is int for value in background):
        refuse(f"has {shown(background)} as its background, where three numbers belong")
    preprocessing = Preprocessing(**{**values, "background": tuple(background)})
    if preprocessing.size != network.size:
        refuse(f"prepares pictures of {shown(preprocessing.size)} pixels, where its network takes {network.size}")
    return preprocessing


def _temperature(value: object) -> float:
    if type(value) not in (int, float) or not _MIN_TEMPERATURE <= value <= _LARGE:  # type: ignore[operator]
        refuse(f"has a temperature of {shown(value)}, where a number above 0 belongs")
    return float(value)  # type: ignore[arg-type]


def _state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_NOT_OF_THE_NETWORK)}
    return {
        name: tensor.float() if tensor.dtype == torch.float16 and tensor.dim() > 1 else tensor
        for name, tensor in own.items()
    }


def _golden(tensors: Mapping[str, Tensor], classes: int) -> Golden:
    probabilities = tensors.get(f"{GOLDEN}probabilities")
    if probabilities is None or probabilities.dim() != 2 or probabilities.shape[1] != classes or len(probabilities) < 1:
        refuse("has no golden answers to verify itself with")
    if not (probabilities.is_floating_point() and torch.isfinite(probabilities).all()):
        refuse("has golden answers that are not numbers")
    if len(probabilities) > MAX_PICTURES:
        refuse(f"has {len(probabilities):,} golden pictures, where {MAX_PICTURES} are enough")
    pictures = tuple(_golden_picture(tensors, index) for index in range(len(probabilities)))
    require_small(pictures)
    return Golden(pictures, probabilities.float())


def _golden_picture(tensors: Mapping[str, Tensor], index: int) -> bytes:
    picture = tensors.get(f"{GOLDEN}picture.{index}")
    if picture is None or picture.dtype != torch.uint8:
        refuse(f"lacks golden picture {index}")
    if picture.numel() > MAX_BYTES:
        refuse(f"has a golden picture {index} of more than {MAX_BYTES:,} bytes")
    return picture.numpy().tobytes()


def _held_out(tensors: Mapping[str, Tensor], classes: int) -> HeldOut | None:
    logits, folds, distances = (tensors.get(f"{HELD_OUT}{name}") for name in ("logits", "folds", "distances"))
    if logits is None or folds is None:
        return None
    if logits.dim() != 3 or logits.shape[2] != classes or folds.shape != logits.shape[:2] or not folds.numel():
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


def _novelty(values: object, tensors: Mapping[str, Tensor]) -> Novelty | None:
    if values is None:
        return None
    numbers = read_object(values, "novelty measure")
    prototypes, direction = (tensors.get(f"{NOVELTY}{name}") for name in ("prototypes", "direction"))
    if prototypes is None or direction is None or prototypes.dim() != 2 or direction.shape != prototypes.shape[1:]:
        refuse("lacks the tensors of its novelty measure, or has them in the wrong shape")
    neighbours, *others = (numbers[name] for name in NOVELTY_NUMBERS)
    if type(neighbours) is not int or not 1 <= neighbours <= len(prototypes):
        refuse(f"compares with {shown(neighbours)} prototypes, where it has {len(prototypes)}")
    named = zip(others, NOVELTY_NUMBERS[1:], strict=True)
    distance_weight, typical, threshold = (read_number(value, name, -_LARGE, _LARGE) for value, name in named)
    arrays = prototypes.float().numpy(), direction.float().numpy()
    if not all((np.abs(array) <= _LARGE).all() for array in arrays):  # so written, NaN is refused, too
        refuse("has NaN or infinity in its novelty measure")
    return Novelty(*arrays, neighbours, distance_weight, typical, threshold)


def _quantization(value: object) -> Quantization | None:
    if value is None:
        return None
    values = read_object(value, "quantisation")
    ranges = {name: _range(bounds) for name, bounds in read_object(values["ranges"], "ranges").items()}
    narrow = values.get("narrow")
    return Quantization(
        ranges, _int8_cost(values), None if narrow is None else _int8_cost(read_object(narrow, "cost of 7 bits"))
    )


def quantization_header(quantization: Quantization) -> dict[str, Any]:
    """Give the JSON object of a header; what was not measured is left out."""
    header = {"ranges": dict(quantization.ranges), **asdict(quantization.cost)}
    return header if quantization.narrow is None else {**header, "narrow": asdict(quantization.narrow)}


def _int8_cost(values: Mapping[str, Any]) -> Int8Cost:
    return Int8Cost(
        read_number(values["points_lost"], "points lost", -100, 100),
        read_number(values["mean_difference"], "mean difference", 0, 1),
    )


def _range(bounds: object) -> tuple[float, float]:
    if not isinstance(bounds, list) or len(bounds) != 2:
        refuse(f"has {shown(bounds)} as the range of a layer, where two numbers belong")
    low = read_number(bounds[0], "range of a layer", -_LARGE, _LARGE)
    return low, read_number(bounds[1], "range of a layer", low, _LARGE)
