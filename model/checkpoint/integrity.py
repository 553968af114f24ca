"""The integrity of a checkpoint: its digest, and the tensors that its network needs."""

import hashlib
import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whisker.model.answers.novelty import Novelty
from whisker.model.checkpoint.json_object import refuse
from whisker.model.errors import CheckpointError
from whisker.model.networks.build import build_network
from whisker.model.networks.config import NetworkConfig
from whisker.model.onnx.config import GraphConfig
from whisker.model.onnx.structure import inspect_onnx

GRAPH = "onnx.graph"  # the tensor that holds it


def check_tensors(
    config: NetworkConfig | GraphConfig, classes: int, state: Mapping[str, Tensor], novelty: Novelty | None
) -> None:
    """Compare names, shapes and dtypes with those of a network built (without memory) from the configuration.

    A graph is looked through, as `inspect_onnx` describes; what is read from it has as many numbers as the last layer.
    """
    expected = _expect_graph(config, classes, state) if isinstance(config, GraphConfig) else _expect(config, classes)
    if novelty is not None:
        if isinstance(config, GraphConfig) and not config.has_features:
            refuse("has a measure of novelty, but its graph gives no features")
        _check_novelty(novelty, expected["fc.weight"].shape[1])
    for name in sorted(expected.keys() ^ state.keys()):
        refuse(
            f"lacks the tensor {name!r}"
            if name in expected
            else f"has a tensor {reprlib.repr(name)} that its network lacks"
        )
    for name, want in expected.items():
        have = state[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            refuse(f"has {name!r} as {have.dtype} {_shape(have)}, where its network needs {want.dtype} {_shape(want)}")
        if have.is_floating_point() and not torch.isfinite(have).all():
            refuse(f"has NaN or infinity in {name!r}: its training went wrong")


def _expect(config: NetworkConfig, classes: int) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return build_network(config, classes).state_dict()


def _expect_graph(config: GraphConfig, classes: int, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Give tensors of the shapes that those of a graph have; refuse one that `inspect_onnx` does not accept."""
    graph, weight = state.get(GRAPH), state.get("fc.weight")
    if graph is None or graph.dtype != torch.uint8 or graph.dim() != 1:
        refuse(f"lacks its ONNX graph, bytes in the tensor {GRAPH!r}")
    if weight is None or weight.dim() != 2:
        refuse("lacks its last layer, or has it in the wrong shape")
    try:
        inspect_onnx(graph.numpy().tobytes())
    except CheckpointError as exc:
        refuse(f"has an ONNX graph that {exc}", exc)
    features = weight.shape[1] if config.has_features else classes
    shapes = {"fc.weight": (classes, features), "fc.bias": (classes,)}
    return {GRAPH: graph, **{name: torch.empty(shape, device="meta") for name, shape in shapes.items()}}


def _check_novelty(novelty: Novelty, features: int) -> None:
    if novelty.prototypes.shape[1] != features:
        refuse(f"has prototypes of {novelty.prototypes.shape[1]} features, where its network has {features}")
    if not (np.isfinite(novelty.prototypes).all() and np.isfinite(novelty.direction).all()):
        refuse("has NaN or infinity in its novelty measure")


def content_digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the header (without the digest itself) and every tensor's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{_shape(tensor)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _shape(tensor: Tensor) -> Sequence[int]:
    return list(tensor.shape)
