"""ONNX files for tests: a classifier of rings and stripes that nobody trained, and others that are wrong in one way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

Node = tuple[str, Sequence[str], Sequence[str], dict[str, Any]]

# In the order of its outputs, which is not the alphabet's.
LABELS = "stripes\nrings\n"
# Upright stripes differ from left to right alone, rings in both directions.
_DIFFERENCES = np.array([[[1, -1], [0, 0]], [[1, 0], [-1, 0]]], np.float32)
_WEIGHT = np.array([[100, -300], [-100, 300]], np.float32)
_CLASSIFIER: tuple[Node, ...] = (
    ("Conv", ("x", "differences"), ("d",), {}),
    ("Mul", ("d", "d"), ("squares",), {}),
    ("GlobalAveragePool", ("squares",), ("pooled",), {}),
    ("Flatten", ("pooled",), ("features",), {}),
    ("Gemm", ("features", "weight", "bias"), ("logits",), {"transB": 1, "alpha": 2.0, "beta": 0.5}),
)


def write_onnx(
    nodes: Sequence[Node] = _CLASSIFIER,
    *,
    output: str = "logits",
    shape: Sequence[object] = ("N", 3, "H", "W"),
    inputs: Sequence[str] = ("x",),
    scale: float = 1.0,
    domain: str = "",
    external: str = "",
) -> bytes:
    """Write a graph of `nodes`, whose domain may be a foreign one; `external` names a file that is to hold weights."""
    onnx = pytest.importorskip("onnx", reason="the package onnx writes the files of this test")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    kernels = np.repeat(_DIFFERENCES[:, None], 3, 1) / 3 / np.float32(scale)
    weights = {"differences": kernels, "weight": _WEIGHT / 2, "bias": np.array([0.5, -0.5], np.float32)}
    tensors = [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()]
    if external:
        tensors[0].ClearField("raw_data")
        tensors[0].data_location = onnx.TensorProto.EXTERNAL
        tensors[0].external_data.add(key="location", value=external)
    made = [helper.make_node(kind, ins, outs, domain=domain, **options) for kind, ins, outs, options in nodes]
    graph = helper.make_graph(
        made,
        "graph",
        [helper.make_tensor_value_info(name, number, shape) for name in inputs],
        [helper.make_tensor_value_info(output, number, None)],
        tensors,
    )
    versions = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    content: bytes = helper.make_model(graph, opset_imports=versions, producer_name="a test").SerializeToString()
    return content


def with_ending(*nodes: Node, output: str) -> bytes:
    """Write the classifier with more operations behind it."""
    return write_onnx((*_CLASSIFIER, *nodes), output=output)


def in_rows(*nodes: Node, output: str) -> bytes:
    """Write the classifier, with more operations behind it, for pictures in rows, as TensorFlow lays them out."""
    turn: Node = ("Transpose", ("pictures",), ("x",), {"perm": [0, 3, 1, 2]})
    made = (turn, *_CLASSIFIER, *nodes)
    return write_onnx(made, shape=("N", "H", "W", 3), inputs=("pictures",), output=output, scale=2.0)


def for_one() -> bytes:
    """Write the classifier for exactly one picture of 48 pixels."""
    shape: Node = ("Constant", (), ("shape",), {"value_ints": [1, 2]})
    flat: Node = ("Reshape", ("pooled", "shape"), ("features",), {})
    nodes = (*_CLASSIFIER[:3], shape, flat, _CLASSIFIER[4])
    return write_onnx(nodes, shape=(1, 3, 48, 48))
