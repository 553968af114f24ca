"""What a prepared classifier holds: an exported classifier, compiled for this machine, and its checkpoint's card."""

import math
import mmap
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import DecisionRule
from whisker.model.answers.head import Head
from whisker.model.answers.multi_label import MultiLabelRule
from whisker.model.answers.novelty import Novelty
from whisker.model.answers.single_label import SingleLabelRule
from whisker.model.card.document import CheckpointCard
from whisker.model.engines.base import Prepare
from whisker.model.errors import ConfigError, PreparedError
from whisker.model.exported import ExportedClassifier
from whisker.model.predictor import Predictor
from whisker.model.prepared.container import put_together, read_document
from whisker.model.preprocessing import DECODING_VERSION, Preprocessing

_BYTES, _FLOATS = np.uint8, np.float32
_WRONG_KIND = (TypeError, ValueError, LookupError, AttributeError, ConfigError)
_NOVELTY_NUMBERS = ("neighbours", "distance_weight", "typical", "threshold")


def pack(exported: ExportedClassifier, card: CheckpointCard) -> bytes:
    """Write a compiled classifier, and its card, as one container."""
    models = exported.openvino_model
    assert isinstance(models, Mapping)  # noqa: S101 - callers have compiled it
    pictures, probabilities = exported.golden
    arrays: dict[str, NDArray[Any]] = {
        **{f"model.{count}": np.frombuffer(model, _BYTES) for count, model in models.items()},
        "head.weight": exported.head.weight,
        "head.bias": exported.head.bias,
        **{f"golden.picture.{index}": np.frombuffer(picture, _BYTES) for index, picture in enumerate(pictures)},
        "golden.probabilities": probabilities,
    }
    rule, numbers = exported.decision_rule, None
    if rule.novelty is not None:
        numbers = {name: getattr(rule.novelty, name) for name in _NOVELTY_NUMBERS}
        arrays |= {"novelty.prototypes": rule.novelty.prototypes, "novelty.direction": rule.novelty.direction}
    document = {
        "card": card,
        "preprocessing": asdict(exported.preprocessing),
        "rule": {**_thresholds(rule), "temperature": rule.temperature, "novelty": numbers},
        "tolerance": exported.tolerance,
        "decoding": DECODING_VERSION,
        "sizes": sorted(models),
        "shapes": {name: list(array.shape) for name, array in arrays.items()},
    }
    return put_together(document, {name: np.ascontiguousarray(it, _kind(name)).data for name, it in arrays.items()})


def map_content(path: Path) -> memoryview:
    """Map a prepared classifier into memory, which all processes that do so share; raise `PreparedError`."""
    try:
        with path.open("rb") as file:
            # Private, as OpenVINO takes no memory that cannot be written, and does not write it.
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError) as exc:
        raise PreparedError(f"cannot be mapped: {exc}") from exc


def open_prepared(
    data: bytes | memoryview, *, threads: int, largest: int, prepare: Prepare | None = None
) -> tuple[Predictor, dict[int, float]]:
    """Open a container whose bytes were checked, as `ExportedClassifier.open` does.

    Raises `PreparedError` with the end of a sentence, also where OpenVINO refuses it, and `CheckpointError` if the
    golden answers differ here.
    """
    exported = unpack(data)
    try:
        return exported.open(threads=threads, largest=largest, prepare=prepare)
    except RuntimeError as exc:
        raise PreparedError(f"is refused by OpenVINO: {exc}") from exc


def unpack(data: bytes | memoryview) -> ExportedClassifier:
    """Read a container whose bytes were checked; its arrays share their memory.

    Raises `PreparedError` with the end of a sentence.
    """
    document, begin = read_document(data)
    try:
        return _unpack(document, data, begin)
    except _WRONG_KIND as exc:
        raise PreparedError(f"has a document that says too little, or too much: {exc}") from exc


def _unpack(document: Mapping[str, Any], data: bytes | memoryview, begin: int) -> ExportedClassifier:
    if document["decoding"] != DECODING_VERSION:
        raise PreparedError("was made when files came out as other pixels")
    places, shapes = document["places"], document["shapes"]

    def array(name: str) -> NDArray[Any]:
        start, shape = places[name], shapes[name]
        if not all(type(it) is int and it >= 0 for it in (start, *shape)):
            raise ValueError(f"{name} lies nowhere")
        return np.frombuffer(data, _kind(name), math.prod(shape), begin + start).reshape(shape)

    values = document["preprocessing"]
    return ExportedClassifier(
        openvino_model={count: array(f"model.{count}") for count in document["sizes"]},
        head=Head(array("head.weight"), array("head.bias")),
        preprocessing=Preprocessing(**{**values, "background": tuple(values["background"])}),
        decision_rule=_rule(document, _novelty(document["rule"]["novelty"], array)),
        golden=(
            tuple(array(f"golden.picture.{index}").tobytes() for index in range(shapes["golden.probabilities"][0])),
            array("golden.probabilities"),
        ),
        tolerance=document["tolerance"],
    )


def _kind(name: str) -> type[np.uint8 | np.float32]:
    return _BYTES if name.startswith(("model.", "golden.picture.")) else _FLOATS


def _thresholds(rule: DecisionRule) -> dict[str, object]:
    if isinstance(rule, MultiLabelRule):
        return {"thresholds": rule.thresholds, "guaranteed": rule.guaranteed}
    assert isinstance(rule, SingleLabelRule)  # noqa: S101 - there is no third
    return {"unsure": rule.unsure, "shown": rule.shown}


def _novelty(numbers: Mapping[str, Any] | None, array: Callable[[str], NDArray[Any]]) -> Novelty | None:
    if numbers is None:
        return None
    return Novelty(prototypes=array("novelty.prototypes"), direction=array("novelty.direction"), **numbers)


def _rule(document: Mapping[str, Any], novelty: Novelty | None) -> DecisionRule:
    values, card = document["rule"], document["card"]
    shared = tuple(card["classes"]), values["temperature"], novelty
    if card["task"] == "multi-label":
        return MultiLabelRule(*shared, tuple(values["thresholds"]), tuple(values["guaranteed"]))
    return SingleLabelRule(*shared, values["unsure"], values["shown"])
